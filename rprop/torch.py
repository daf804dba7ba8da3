"""Rprop as a `torch.optim.Optimizer`.

Examples
--------
>>> import torch
>>> from rprop.torch import Rprop
>>> model = torch.nn.Linear(2, 1)
>>> optimizer = Rprop(model.parameters(), lr=0.1, variant="irprop+")
>>> def closure():
...     optimizer.zero_grad()
...     loss = model(torch.ones(1, 2)).square().sum()
...     loss.backward()
...     return loss
>>> first = closure()
>>> for _ in range(20):
...     loss = optimizer.step(closure)
>>> bool(loss < first)
True
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch

from rprop.rule import checks
from rprop.rule.state import RpropState
from rprop.rule.step import rprop_init, rprop_step
from rprop.rule.variants import Variant

__all__ = ["Rprop"]


class Rprop(torch.optim.Optimizer):
    """Resilient backpropagation, with the arguments of `torch.optim.Rprop` and the variants.

    Every step is that of `rprop_step` to the bit. A parameter without gradient is left alone.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them, as every optimizer of torch takes them.
    lr : float or Tensor, optional
        Δ0, the length of the first move, clamped to `step_sizes`. It is looked at when a parameter
        takes its first step: a scheduler of learning rates changes nothing afterwards.
    etas : (float, float), optional
        (η-, η+), the factors that shrink and grow Δ.
    step_sizes : (float, float), optional
        (Δmin, Δmax), the limits of Δ.
    variant : str or Variant, optional
        The name of a row of `rprop.VARIANTS`, or a row of your own. A variant that asks whether
        the loss rose ("irprop+") needs ``step(closure)``.
    maximize : bool, optional
        Whether to climb.
    foreach, capturable : bool, optional
        Taken from `torch.optim.Rprop` and without effect: there is one implementation, and it
        never waits for the device.
    differentiable : bool, optional
        Must be False: a step is constant in the gradient almost everywhere.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    ``state_dict`` holds tensors and numbers alone, so that ``torch.load(weights_only=True)`` reads
    it, unless `variant` is a row of your own. It needs the package array-api-compat.
    """

    def __init__(
        self,
        params: Any,
        lr: float | torch.Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        variant: str | Variant = "irprop-",
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "variant": variant,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        check(defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own, after a look at these."""
        if isinstance(param_group, dict):  # or torch says what it must be
            check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take a step.

        Parameters
        ----------
        closure : callable, optional
            A function that computes the gradients and returns the loss.

        Returns
        -------
        loss
            What the closure returned.

        Raises
        ------
        ValueError
            If the variant needs a loss and there is no closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if loss is None and checks.row(group["variant"]).needs_loss:
                raise ValueError(
                    f"variant {group['variant']!r} needs the loss: call step(closure) with a "
                    f"function that returns it; got {'no closure' if closure is None else 'None'}"
                )
            against = loss if loss is None or not group["maximize"] else -loss
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad, group, against)
        return loss

    def move(self, p: torch.Tensor, grad: torch.Tensor, group: dict[str, Any], loss: Any) -> None:
        """Take the step of one parameter, in place."""
        if grad.is_sparse:
            raise RuntimeError(
                "Rprop does not support sparse gradients: for an Embedding set sparse=False"
            )
        state, w = self.state[p], real(p)
        flat = w.reshape(-1)  # as a vector a parameter is one problem, whose loss is one number
        if not state:
            low, high = group["step_sizes"]
            fresh = rprop_init(flat, min(max(float(group["lr"]), low), high))
            state.update(shaped(fresh._asdict(), w.shape))
        old: Any = shaped(state, (-1,))
        if isinstance(loss, torch.Tensor):
            loss = loss.detach().to(p.device).reshape(())
        new, after = rprop_step(
            flat,
            real(-grad if group["maximize"] else grad).reshape(-1),
            RpropState(**old),
            group["etas"],
            group["step_sizes"],
            variant=group["variant"],
            loss=loss,
        )
        w.copy_(new.reshape(w.shape))
        for name, value in shaped(after._asdict(), w.shape).items():
            state[name].copy_(value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; unlike torch's own, keep the dtypes in which it was saved."""
        seen: list[dict[str, Any]] = []
        last = self.register_load_state_dict_pre_hook(lambda _, given: seen.append(given))
        try:
            super().load_state_dict(state_dict)
        finally:
            last.remove()
        (given,) = seen
        saved = chain.from_iterable(group["params"] for group in given["param_groups"])
        own = chain.from_iterable(group["params"] for group in self.param_groups)
        for key, p in zip(saved, own, strict=True):
            for name, value in given["state"].get(key, {}).items():
                if isinstance(value, torch.Tensor):
                    self.state[p][name] = value.to(p.device, copy=True)


def shaped(fields: dict[str, torch.Tensor], shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Return the fields of a state in another shape; the loss is one number in any."""
    return {
        name: value if name == "prev_loss" else value.reshape(shape)
        for name, value in fields.items()
    }


def real(tensor: torch.Tensor) -> torch.Tensor:
    """Return a complex tensor as pairs of real numbers, any other as it is; without its graph."""
    tensor = tensor.detach()
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def check(settings: dict[str, Any]) -> None:
    """Refuse settings that no step could take."""
    lr = settings["lr"]
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element; got shape {tuple(lr.shape)}")
    try:
        checks.factors(settings["etas"])
    except ValueError as error:
        low, high = settings["etas"]
        raise ValueError(f"Invalid eta values: {low}, {high}: {error}") from None
    _, high = checks.limits(settings["step_sizes"], (), torch.zeros(()).numpy().dtype)
    if not (float(lr) >= 0 and min(max(float(lr), settings["step_sizes"][0]), high) > 0):
        raise ValueError(
            f"Invalid learning rate: {lr}: lr, clamped to step_sizes, is the length of the first "
            "move and must be positive"
        )
    checks.row(settings["variant"])
    if settings["differentiable"]:
        raise ValueError(
            "differentiable must be False: a step is constant in the gradient almost everywhere; "
            "got True"
        )
