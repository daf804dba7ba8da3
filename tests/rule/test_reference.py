"""The scalar rules against numbers worked out by hand, in exact arithmetic."""

from fractions import Fraction as F

import numpy as np
import pytest

from rprop.rule.reference import RULES, adapt, rose, sign

TAPE = [1, 1, 1, -1, -1, 1, 0, 0, 1]
ETAS, STEP_SIZES = (F(1, 2), F(6, 5)), (F(1, 10**6), F(50))

# Positions in thousandths from 0 with Δ0 = 100: Δ grows to 120 and 144, and the first flip halves
# it to 72. "risen" says at which steps the loss rose; the other rules do not ask.
PUBLISHED = [
    ("rprop+", [], [-100, -220, -364, -220, -148, -220, -220, -220, -256]),
    ("irprop+", [3], [-100, -220, -364, -220, -148, -148, -148, -148, -184]),
    ("irprop+", [], [-100, -220, -364, -364, -292, -292, -292, -292, -328]),
    ("irprop-", [], [-100, -220, -364, -364, -292, -292, -292, -292, -328]),
    ("rprop-", [], [-100, -220, -364, -292, "-205.6", "-248.8", "-248.8", "-248.8", -292]),
]


@pytest.mark.parametrize(("name", "risen", "positions"), PUBLISHED)
def test_published_tape(name, risen, positions):
    w, delta, remembered, dw = F(0), F(1, 10), 0, F(0)
    path = []
    for step, g in enumerate(TAPE):
        given = [step in risen] if risen else []  # by default it did not
        w, delta, remembered, dw = RULES[name](
            w, g, delta, remembered, dw, ETAS, STEP_SIZES, *given
        )
        path.append(1000 * w)
    assert path == [F(x) for x in positions]


def test_pieces():
    assert [sign(g) for g in (2.5, -1e-320, 0.0, -0.0, np.inf, -np.inf, np.nan)] == [
        *(1, -1, 0, 0),
        *(1, -1, 0),
    ]
    nan = float("nan")
    pairs = [(2, 1), (1, 2), (1, 1), (nan, 1), (1, nan), (nan, nan)]
    assert [bool(rose(*pair)) for pair in pairs] == [True, False, False, True, False, True]
    assert [adapt(F(1), a, ETAS, (F(1, 4), F(2))) for a in (1, -1, 0)] == [F(6, 5), F(1, 2), F(1)]
    assert [adapt(F(3), a, ETAS, (F(2), F(3))) for a in (1, -1, 0)] == [F(3), F(2), F(3)]


def test_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    grads = rng.choice([-1.5, 0.0, 0.5, 1.0], (200, 5))
    weights = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Rprop([weights], lr=0.1)
    own = [(0.0, 0.1, 0, 0.0)] * 5
    for row in grads:
        weights.grad = torch.tensor(row)
        optimizer.step()
        own = [
            RULES["irprop-"](w[0], g, *w[1:], (0.5, 1.2), (1e-6, 50.0))
            for w, g in zip(own, row, strict=True)
        ]
        assert weights.tolist() == [w[0] for w in own]
