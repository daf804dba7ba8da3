"""The published rules for one coordinate, as plainly as Python can say them.

This is the oracle: slow, scalar, written from the papers, and sharing nothing with the fast code.
Every function advances one coordinate by one step. It takes and returns
``(w, delta, prev_sign, prev_dw)``: the parameter, its step size Δ, the remembered sign of its
gradient and its last move. Start with ``(w, delta0, 0, 0)``. Numbers may be floats, NumPy
scalars of one dtype, or `fractions.Fraction` for exact arithmetic.

References
----------
.. [1] M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation learning:
       the RPROP algorithm", IEEE International Conference on Neural Networks, 1993, 586-591.
.. [2] C. Igel and M. Hüsken, "Improving the Rprop learning algorithm", Second International
       Symposium on Neural Computation, 2000, 115-121.
.. [3] C. Igel and M. Hüsken, "Empirical evaluation of the improved Rprop learning algorithms",
       Neurocomputing 50, 2003, 105-123.
"""

# Letters: w parameter, g gradient, dw move of w; eta_minus < 1 < eta_plus factors of Δ.

__all__ = [
    "RULES",
    "adapt",
    "descend",
    "irprop_minus",
    "irprop_plus",
    "rose",
    "rprop_minus",
    "rprop_plus",
    "sign",
]


def sign(g):
    """-1, 0 or 1; NaN has no sign and counts as 0."""
    if g > 0:
        return 1
    if g < 0:
        return -1
    return 0


def rose(loss, prev_loss):
    """Whether the loss rose; a NaN loss did, a recovery from NaN or a first loss did not."""
    return loss > prev_loss or loss != loss


def adapt(delta, agreement, etas, step_sizes):
    """Grow Δ where the gradient kept its sign, shrink it where it flipped, and clamp it."""
    eta_minus, eta_plus = etas
    delta_min, delta_max = step_sizes
    if agreement > 0:
        delta = delta * eta_plus
    if agreement < 0:
        delta = delta * eta_minus
    return min(max(delta, delta_min), delta_max)


def descend(w, g, delta):
    """Move by Δ against the sign of g and remember that sign; a zero gradient moves nothing."""
    dw = -(sign(g) * delta)
    return w + dw, delta, sign(g), dw


def rprop_plus(w, g, delta, prev_sign, prev_dw, etas, step_sizes, risen=False):
    """RPROP+ [1]: on a sign change take the last move back and forget the sign."""
    agreement = sign(g) * prev_sign
    delta = adapt(delta, agreement, etas, step_sizes)
    if agreement < 0:
        return w - prev_dw, delta, 0, -prev_dw
    return descend(w, g, delta)


def rprop_minus(w, g, delta, prev_sign, prev_dw, etas, step_sizes, risen=False):
    """RPROP- [2, 3]: on a sign change step by the reduced Δ, as anywhere else."""
    agreement = sign(g) * prev_sign
    delta = adapt(delta, agreement, etas, step_sizes)
    return descend(w, g, delta)


def irprop_plus(w, g, delta, prev_sign, prev_dw, etas, step_sizes, risen=False):
    """iRprop+ [2, 3]: on a sign change forget the sign; take the last move back if E rose."""
    agreement = sign(g) * prev_sign
    delta = adapt(delta, agreement, etas, step_sizes)
    if agreement < 0 and risen:
        return w - prev_dw, delta, 0, -prev_dw
    if agreement < 0:
        g = 0
    return descend(w, g, delta)


def irprop_minus(w, g, delta, prev_sign, prev_dw, etas, step_sizes, risen=False):
    """iRprop- [2, 3]: on a sign change forget the sign, and stay."""
    agreement = sign(g) * prev_sign
    delta = adapt(delta, agreement, etas, step_sizes)
    if agreement < 0:
        g = 0
    return descend(w, g, delta)


#: The four rules by the names used throughout this package.
RULES = {
    "rprop-": rprop_minus,
    "irprop-": irprop_minus,
    "rprop+": rprop_plus,
    "irprop+": irprop_plus,
}
