"""The table of variants against the papers' rules."""

from inspect import signature

import pytest

from rprop import VARIANTS, Variant, rprop_init, rprop_step

# What a coordinate does on a flip, where the loss rose, and whether it forgets the new sign.
PAPERS = {
    "rprop-": ("step", "step", False),
    "irprop-": ("stay", "stay", True),
    "rprop+": ("undo", "undo", True),
    "irprop+": ("stay", "undo", True),
}


def test_the_table_is_that_of_the_papers():
    assert {
        name: (row.on_flip, row.on_flip_risen, row.forgets) for name, row in VARIANTS.items()
    } == PAPERS
    assert [row.name for row in VARIANTS.values()] == list(VARIANTS)
    assert all(row.paper for row in VARIANTS.values())


def test_defaults_are_those_of_the_paper():
    """Riedmiller and Braun 1993; the rule is that of Igel and Hüsken that needs no loss."""
    defaults = {
        name: parameter.default
        for function in (rprop_init, rprop_step)
        for name, parameter in signature(function).parameters.items()
    }
    assert (defaults["delta0"], defaults["step_sizes"]) == (0.1, (1e-6, 50.0))
    assert (defaults["etas"], defaults["variant"]) == ((0.5, 1.2), "irprop-")


def test_only_a_rule_that_asks_needs_the_loss():
    assert [name for name, row in VARIANTS.items() if row.needs_loss] == ["irprop+"]
    assert Variant("own", "undo", "step", False).needs_loss


@pytest.mark.parametrize("field", ["on_flip", "on_flip_risen"])
def test_a_move_is_one_of_three(field):
    moves = {"on_flip": "stay", "on_flip_risen": "stay", field: "go"}
    with pytest.raises(
        ValueError, match=f"^{field} must be one of 'step', 'stay', 'undo'; got 'go"
    ):
        Variant("own", **moves, forgets=True)


def test_forgets_is_a_bool():
    with pytest.raises(TypeError, match="forgets must be a bool; got 1"):
        Variant("own", "step", "stay", 1)


def test_a_row_cannot_be_changed():
    with pytest.raises(AttributeError):
        VARIANTS["rprop-"].forgets = True
