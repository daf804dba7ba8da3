"""`rprop.torch.Rprop` keeps the contracts of `torch.optim` and steps as `rprop_step` does."""

import copy
import io
import pickle

import numpy as np
import pytest

from rprop import VARIANTS, RpropState, rprop_init, rprop_step
from rprop.conformance import check
from tests.strategies import bits

torch = pytest.importorskip("torch", reason="the optimiser for torch needs torch")
pytest.importorskip("array_api_compat", reason="arrays of torch need array-api-compat")
from rprop.torch import Rprop

GRADS = [1.0, 1e-30, -1.0, -1.0, 0.0, float("nan"), 2.0, -float("inf"), -1.0, -1.0]
LOSSES = [3.0, 2.0, 4.0, 1.0, 1.0, float("nan"), 1.0, 0.0, 0.0, 5.0]


def step(optimizer, grads, loss=None):
    """Give every parameter its gradient and take a step."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for p, grad in zip(params, grads, strict=True):
        p.grad = grad
    return optimizer.step(None if loss is None else lambda: loss)


def run(optimizer, first=0, last=10):
    """Take steps of a tape; every coordinate sees it from another place on."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for i in range(first, last):
        grads = [
            torch.tensor(np.resize(np.roll(GRADS, -i), p.shape), dtype=p.dtype) for p in params
        ]
        step(optimizer, grads, torch.tensor(LOSSES[i]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_passes_the_vectors(variant):
    class Stepper:
        def __init__(self, params, delta0, etas, step_sizes):
            self.tensor = torch.tensor(params, requires_grad=True)
            self.optimizer = Rprop(
                [self.tensor], lr=delta0, etas=etas, step_sizes=step_sizes, variant=variant
            )

        @property
        def params(self):
            return self.tensor.detach().numpy()

        @property
        def delta(self):
            state = self.optimizer.state[self.tensor]
            return state["delta"].numpy() if state else None

        def step(self, grads, loss):
            step(self.optimizer, [torch.tensor(grads)], loss)

    check(Stepper, variant).assert_ok()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_equals_the_core_to_the_bit(variant, dtype):
    tensor = torch.linspace(-2, 2, 12, dtype=dtype).reshape(3, 4).t().requires_grad_()
    params = tensor.detach().numpy().copy().reshape(-1)
    state = rprop_init(params, 0.3)
    optimizer = Rprop([tensor], lr=0.3, variant=variant)
    for i, loss in enumerate(LOSSES):
        grads = np.resize(np.roll(GRADS, -i), (4, 3)).astype(params.dtype)
        step(optimizer, [torch.tensor(grads)], torch.tensor(loss))
        params, state = rprop_step(
            params, grads.reshape(-1), state, variant=variant, loss=np.float32(loss)
        )
        own = optimizer.state[tensor]
        found = [own[name].numpy().reshape(getattr(state, name).shape) for name in state._fields]
        assert bits(tensor.detach().numpy().reshape(-1), *found) == bits(params, *state)


def test_bfloat16_keeps_its_state_in_float32():
    tensor = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    optimizer = Rprop([tensor], lr=0.1)
    step(optimizer, [torch.ones_like(tensor)])
    assert optimizer.state[tensor]["delta"].dtype == torch.float32
    assert torch.equal(tensor, torch.full((3,), 1 - np.float32(0.1)).bfloat16())


def test_complex_numbers_are_pairs_of_reals():
    numbers = torch.zeros(2, dtype=torch.complex64, requires_grad=True)
    pairs = torch.zeros(2, 2, requires_grad=True)
    optimizers = [Rprop([p], lr=0.5) for p in (numbers, pairs)]
    for grads in ([[1.0, -1.0], [0.0, 2.0]], [[1.0, 1.0], [1.0, 2.0]]):
        step(optimizers[0], [torch.view_as_complex(torch.tensor(grads))])
        step(optimizers[1], [torch.tensor(grads)])
    assert torch.equal(torch.view_as_real(numbers.detach()), pairs.detach())


def test_maximize_climbs_as_the_mirrored_function_falls():
    a, b = (torch.zeros(5, requires_grad=True) for _ in range(2))
    up, down = Rprop([a], maximize=True, variant="irprop+"), Rprop([b], variant="irprop+")
    for i, loss in enumerate(LOSSES):
        grad = torch.tensor(np.resize(np.roll(GRADS, -i), 5), dtype=torch.float32)
        step(up, [grad], loss)
        step(down, [-grad], -loss)
    assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.complex64])
@pytest.mark.parametrize("weights_only", [True, False])
def test_a_saved_state_goes_on_to_the_bit(dtype, weights_only):
    def fresh():
        params = [torch.ones(3, 2, dtype=dtype), torch.ones((), dtype=dtype)]
        for p in params:
            p.requires_grad_()
        groups = [{"params": params[:1], "lr": 0.3}, {"params": params[1:], "etas": (0.4, 1.3)}]
        return params, Rprop(groups, variant="irprop+")

    def bytes_of(params, optimizer):
        states = [RpropState(**optimizer.state[p]) for p in params]
        return bits(
            *(
                torch.view_as_real(p) if p.is_complex() else p
                for p in map(torch.Tensor.detach, params)
            )
        ), bits(*states)

    params, whole = fresh()
    run(whole, 0, 4)
    file = io.BytesIO()
    torch.save({"params": params, "optimizer": whole.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=weights_only)
    copies, resumed = fresh()
    for p, value in zip(copies, saved["params"], strict=True):
        p.detach().copy_(value.detach())
    resumed.load_state_dict(saved["optimizer"])
    assert bytes_of(copies, resumed) == bytes_of(params, whole)
    before = copy.deepcopy(saved)
    for optimizer in (whole, resumed):
        run(optimizer, 4)
    assert bytes_of(copies, resumed) == bytes_of(params, whole)
    for key, fields in saved["optimizer"]["state"].items():  # which is the caller's
        assert bits(*fields.values()) == bits(*before["optimizer"]["state"][key].values())


def test_hooks_may_replace_the_state_that_is_loaded():
    p = torch.ones(2, requires_grad=True)
    optimizer = Rprop([p])
    run(optimizer, 0, 2)
    saved = optimizer.state_dict()

    def double(_, given):
        given = copy.deepcopy(given)
        given["state"][0]["delta"] *= 2
        return given

    optimizer.register_load_state_dict_pre_hook(double)
    expected = saved["state"][0]["delta"] * 2
    optimizer.load_state_dict(saved)
    assert torch.equal(optimizer.state[p]["delta"], expected)


def test_pickle_and_deepcopy():
    p = torch.ones(2, requires_grad=True)
    optimizer = Rprop([p])
    run(optimizer, 0, 3)
    for twin in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        (own,) = twin.param_groups[0]["params"]
        run(twin, 3)
        params = p.detach().clone().requires_grad_()
        other = Rprop([params])
        other.load_state_dict(optimizer.state_dict())
        run(other, 3)
        assert torch.equal(own, params)
    assert "variant: irprop-" in repr(optimizer)


def test_a_parameter_without_gradient_is_left_alone():
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = Rprop([a, b])
    step(optimizer, [torch.ones(2), None])
    assert torch.equal(b, torch.ones(2))
    assert not optimizer.state[b]
    assert not a.grad.requires_grad
    assert torch.equal(a.grad, torch.ones(2)), "the gradient is the caller's"


def test_groups_may_be_added_and_have_their_own_settings():
    a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = Rprop([("a", a)], lr=0.5, foreach=True, capturable=True)
    optimizer.add_param_group({"params": [("b", b)], "lr": 0.25, "variant": "rprop-"})
    step(optimizer, [torch.ones(1), torch.ones(1)])
    step(optimizer, [-torch.ones(1), -torch.ones(1)])
    assert (a.item(), b.item()) == (-0.5, -0.125)  # one stays, one steps back by half
    with pytest.raises(ValueError, match="variant must be one of"):
        optimizer.add_param_group({"params": [torch.zeros(1)], "variant": "adam"})


def test_a_learning_rate_is_clamped_and_may_be_a_tensor():
    for lr, moved in [(0.0, 0.25), (torch.tensor(0.5), 0.5), (9.0, 1.0)]:
        p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        step(Rprop([p], lr=lr, step_sizes=(0.25, 1.0)), [-torch.ones(1, dtype=torch.float64)])
        assert p.item() == moved


def test_a_closure_sees_autograd_and_its_loss_is_returned():
    p = torch.full((3,), 3.0, requires_grad=True)
    optimizer = Rprop([p], lr=0.1, variant="irprop+")

    def closure():
        assert torch.is_grad_enabled()
        optimizer.zero_grad()
        loss = (p**4).sum()
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    assert first == 243
    for _ in range(100):
        last = optimizer.step(closure)
    assert last.item() < 1e-6
    assert all(not value.requires_grad for value in optimizer.state[p].values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"etas": (1.2, 0.5)}, r"Invalid eta values: 1.2, 0.5: .* other way round, \(0.5, 1.2\)"),
        ({"lr": -1.0}, "Invalid learning rate: -1.0: lr, clamped to step_sizes, .* be positive"),
        ({"lr": torch.ones(2)}, r"Tensor lr must be 1-element; got shape \(2,\)"),
        ({"lr": 0.0, "step_sizes": (0.0, 1.0)}, "Invalid learning rate: 0.0"),
        ({"step_sizes": (1.0, 0.1)}, "step_sizes must satisfy 0 <= Δmin <= Δmax"),
        ({"variant": "rprop"}, "variant must be one of 'rprop-'"),
        ({"differentiable": True}, "differentiable must be False: .*; got True"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Rprop([torch.zeros(1, requires_grad=True)], **settings)


def test_a_loss_that_is_missing():
    p = torch.zeros(1, requires_grad=True)
    optimizer = Rprop([p], variant="irprop+")
    with pytest.raises(
        ValueError, match=r"'irprop\+' needs the loss: call step\(closure\) .*; got no"
    ):
        step(optimizer, [torch.ones(1)])
    with pytest.raises(ValueError, match="got None"):
        optimizer.step(lambda: None)


def test_sparse_gradients():
    table = torch.nn.Embedding(3, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=r"not support sparse gradients: .* set sparse=False"):
        Rprop(table.parameters()).step()


def test_torchs_own_list_of_bad_arguments():
    """What torch's tests expect to be refused, from the list that it ships."""
    shipped = pytest.importorskip(
        "torch.testing._internal.common_optimizers",
        reason="this torch ships no list",
        exc_type=ImportError,
    )
    rows = shipped.optim_error_inputs_func_rprop("cpu", torch.float32)
    assert len(rows) > 4
    for row in rows:
        given = row.optimizer_error_input
        params = [torch.ones(1, requires_grad=True)] if given.params is None else given.params
        if issubclass(row.error_type, Warning):
            with pytest.warns(row.error_type, match=row.error_regex):
                Rprop(params, **given.kwargs)
        else:
            with pytest.raises(row.error_type, match=row.error_regex):
                Rprop(params, **given.kwargs)


@pytest.mark.parametrize("name", ["StepLR", "ReduceLROnPlateau"])
def test_schedulers_take_it(name):
    p = torch.zeros(1, requires_grad=True)
    optimizer = Rprop([p], lr=0.5)
    options = {"step_size": 1} if name == "StepLR" else {}
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    step(optimizer, [torch.ones(1)])
    scheduler.step(*() if options else (1.0,))
    step(optimizer, [torch.ones(1)])
    assert p.item() == -np.float32(np.float32(0.5) + np.float32(0.5) * np.float32(1.2))
