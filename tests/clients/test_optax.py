"""`rprop.optax.rprop` keeps the contracts of optax and moves as `rprop_step` does."""

from functools import partial

import numpy as np
import pytest

from rprop import VARIANTS, rprop_init, rprop_step
from rprop.conformance import check, load
from tests.strategies import bits

jax = pytest.importorskip("jax", reason="the optimiser for optax needs JAX")
optax = pytest.importorskip("optax", reason="the optimiser for optax needs optax")
from rprop.optax import rprop

jnp = jax.numpy
jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_passes_the_vectors(variant, jit):
    class Stepper:
        def __init__(self, params, delta0, etas, step_sizes):
            self.rule = rprop(delta0, *etas, *step_sizes, variant=variant)
            self.params = jnp.asarray(params)
            self.state = self.rule.init(self.params)
            self.update = jax.jit(self.rule.update) if jit else self.rule.update

        @property
        def delta(self):
            return self.state.delta

        def step(self, grads, loss):
            moves, self.state = self.update(jnp.asarray(grads), self.state, value=loss)
            self.params = optax.apply_updates(self.params, moves)

    cases = load(variant)[:: 100 if jit else 8]  # each case is compiled anew
    report = check(Stepper, variant, dtypes=("float64", "float32"), cases=cases)
    assert report.count == len([c for c in cases if c["dtype"] in ("float64", "float32")])
    assert not report.failures, report


def trees(seed):
    """Return params and gradients in a nest of containers."""
    rng = np.random.default_rng(seed)
    shapes = {"w": (2, 3), "b": ()}
    return [
        {name: jnp.asarray(rng.standard_normal(shape)) for name, shape in shapes.items()}
        for _ in range(2)
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_trees_equal_the_core_on_one_vector(variant):
    params, _ = trees(0)
    rule = rprop(0.3, variant=variant)
    state = rule.init(params)
    vector = np.concatenate([np.ravel(params[name]) for name in ("w", "b")])
    own = rprop_init(vector, 0.3)
    for seed, loss in enumerate([3.0, 4.0, 1.0, np.nan, 2.0]):
        grads = trees(seed)[1]
        moves, state = rule.update(grads, state, params, value=loss)
        params = optax.apply_updates(params, moves)
        slope = np.concatenate([np.ravel(grads[name]) for name in ("w", "b")])
        vector, own = rprop_step(vector, slope, own, variant=variant, loss=loss)
        found = np.concatenate([np.ravel(params[name]) for name in ("w", "b")])
        assert bits(found, np.asarray(state.prev_loss)) == bits(vector, own.prev_loss)


def test_under_scan_and_vmap():
    rule = rprop(0.25, variant="irprop+")

    def fall(start):
        def body(carry, _):
            x, state = carry
            loss, grad = jax.value_and_grad(lambda x: (x**4).sum())(x)
            moves, state = rule.update(grad, state, x, value=loss)
            return (optax.apply_updates(x, moves), state), loss

        return jax.lax.scan(body, (start, rule.init(start)), length=60)[0][0]

    starts = jnp.array([[1.0, -2.0], [3.0, 0.5]])
    together = jax.jit(jax.vmap(fall))(starts)
    assert abs(together).max() < 0.02
    assert bits(*map(np.asarray, together)) == bits(*(np.asarray(jax.jit(fall)(s)) for s in starts))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_updates_have_the_dtype_of_the_gradients(dtype):
    params = jnp.array([1.0, 2.0], dtype)
    rule = rprop(0.1)
    state = rule.init(params)
    moves, after = rule.update(params, state, params)
    assert moves.dtype == params.dtype
    assert [f.dtype for f in after] == [f.dtype for f in state]
    assert optax.apply_updates(params, moves).dtype == params.dtype


def test_settings_may_be_injected():
    params, grads = jnp.ones(3), jnp.array([1.0, -1.0, 0.0])
    injected = optax.inject_hyperparams(rprop)(learning_rate=0.25, max_step_size=0.28)
    plain = rprop(0.25, max_step_size=0.28)
    state, own = jax.jit(injected.init)(params), plain.init(params)
    for _ in range(3):
        moves, state = jax.jit(injected.update)(grads, state, params)
        expected, own = plain.update(grads, own, params)
        np.testing.assert_array_equal(moves, expected)
    state.hyperparams["max_step_size"] = jnp.asarray(0.125)
    moves, state = jax.jit(injected.update)(grads, state, params)
    assert moves.tolist() == [-0.125, 0.125, 0.0]


def test_it_composes():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    grads = jax.tree.map(jnp.ones_like, params)
    rule = optax.multi_transform(
        {
            "move": optax.chain(optax.add_decayed_weights(0.1), rprop(0.25)),
            "stay": optax.set_to_zero(),
        },
        {"a": "move", "b": "stay"},
    )
    moves, state = rule.update(grads, rule.init(params), params)
    assert jax.tree.map(lambda move: move.tolist(), moves) == {"a": [-0.25] * 2, "b": [0.0] * 2}
    many = optax.MultiSteps(rprop(0.25), 2)
    state = many.init(params)
    moves, state = many.update(grads, state, params)
    assert not any(map(jnp.any, jax.tree.leaves(moves)))
    moves, state = many.update(grads, state, params)
    assert moves["a"].tolist() == [-0.25] * 2


def test_the_state_is_a_tree_like_the_parameters():
    params, _ = trees(0)
    rule = rprop(0.25)
    state = rule.init(params)
    doubled = optax.tree_utils.tree_map_params(rule, lambda field: field * 2, state)
    assert doubled.delta["w"].tolist() == [[0.5] * 3] * 2
    assert jax.tree.structure(doubled) == jax.tree.structure(state)
    assert optax.tree_utils.tree_get(state, "prev_update")["b"].tolist() == 0.0


def test_other_arguments_of_chains_are_no_matter():
    params = jnp.ones(2)
    rule = rprop(0.25)
    moves, _ = rule.update(params, rule.init(params), params, unknown=1)
    assert moves.tolist() == [-0.25, -0.25]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (partial(rprop, 0.1, 1.2, 0.5), ValueError, r"other way round, \(0.5, 1.2\)\?"),
        (partial(rprop, 0.0), ValueError, "learning_rate must be finite and positive; got 0.0"),
        (partial(rprop, optax.constant_schedule(1)), TypeError, "got <.*a schedule would have"),
        (partial(rprop, 0.1, min_step_size=60.0), ValueError, "step_sizes must satisfy"),
        (partial(rprop, 0.1, variant="rprop"), ValueError, "variant must be one of 'rprop-'"),
    ],
)
def test_bad_settings(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_loss_that_is_missing():
    rule = rprop(0.1, variant="irprop+")
    with pytest.raises(
        ValueError, match=r"needs the loss: update\(grads, state, params, value=loss"
    ):
        rule.update(jnp.ones(1), rule.init(jnp.ones(1)))
