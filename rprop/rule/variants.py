"""The published update rules as rows of one table.

They agree everywhere except at a coordinate whose gradient changed sign. There they differ in
what the coordinate does and in whether it remembers the new sign; that is all a row holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["VARIANTS", "Move", "Variant"]

Move = Literal["step", "stay", "undo"]


@dataclass(frozen=True, slots=True)
class Variant:
    """What a coordinate does when its gradient changed sign.

    Parameters
    ----------
    name : str
        What error messages and reports call the rule.
    on_flip : {"step", "stay", "undo"}
        The move on a sign change: a step by the reduced Δ against the new sign, no move at
        all, or the last move taken back.
    on_flip_risen : {"step", "stay", "undo"}
        The same, where the loss rose with the last move.
    forgets : bool
        Whether the new sign is forgotten, so that the next step neither grows nor shrinks Δ.
    paper : str, optional
        Where the rule was published.

    Raises
    ------
    ValueError
        If a move is none of the three.
    TypeError
        If `forgets` is not a bool.

    Examples
    --------
    The rule of OpenCV's ``ANN_MLP``, which steps by the reduced Δ *and* forgets:

    >>> hybrid = Variant("hybrid", on_flip="step", on_flip_risen="step", forgets=True)
    >>> hybrid.needs_loss
    False
    """

    name: str
    on_flip: Move
    on_flip_risen: Move
    forgets: bool
    paper: str = ""

    def __post_init__(self) -> None:
        for field in ("on_flip", "on_flip_risen"):
            if getattr(self, field) not in get_args(Move):
                known = ", ".join(map(repr, get_args(Move)))
                raise ValueError(f"{field} must be one of {known}; got {getattr(self, field)!r}")
        if not isinstance(self.forgets, bool):
            raise TypeError(f"forgets must be a bool; got {self.forgets!r}")

    @property
    def needs_loss(self) -> bool:
        """Whether the rule asks if the loss rose."""
        return self.on_flip != self.on_flip_risen


VARIANTS: dict[str, Variant] = {
    row.name: row
    for row in (
        #       name       on a flip, and where the loss rose, forgets
        Variant("rprop-", "step", "step", False, "Riedmiller 1994, as named by Igel & Hüsken"),
        Variant("irprop-", "stay", "stay", True, "Igel & Hüsken 2000, 2003"),
        Variant("rprop+", "undo", "undo", True, "Riedmiller & Braun 1993"),
        Variant("irprop+", "stay", "undo", True, "Igel & Hüsken 2000, 2003"),
    )
}
