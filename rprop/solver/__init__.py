"""Minimising with the rule: a method for SciPy, and many problems, starts or partitions at once."""
