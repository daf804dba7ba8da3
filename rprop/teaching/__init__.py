"""Runs to look at: tables, figures and a story."""
