"""A step of a tree is the step of one vector that holds all its leaves."""

import pickle
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from rprop import VARIANTS, RpropState, rprop_init, rprop_step
from rprop.rule.trees import flatten, is_tree, ravel
from tests.strategies import bits


class Layer(NamedTuple):
    weights: Any
    bias: Any


@dataclass(frozen=True)
class Net:
    layers: list
    scale: Any = 1.0
    cache: Any = field(default=None, init=False)


class Empty:
    """A layer without weights."""


def arrays():
    return np.arange(6.0).reshape(2, 3), np.array([-1.0, 2.0]), np.array(0.5)


TREES = {
    "dict": lambda a, b, c: {"a": a, "b": b, "c": c},
    "list": lambda a, b, c: [a, b, c],
    "tuple": lambda a, b, c: (a, b, c),
    "NamedTuple": lambda a, b, c: Layer(a, Layer(b, c)),
    "dataclass": lambda a, b, c: Net([Layer(a, b), None], c),
    "OrderedDict": lambda a, b, c: OrderedDict(z=a, y=[b, {"x": c}]),
    "numbers in a dict": lambda a, b, c: {"a": a.tolist(), "b": b.tolist(), "c": c.item()},
}


def vector(tree):
    """Return the leaves, one after the other."""
    return np.concatenate([np.ravel(leaf) for leaf in flatten(tree)[0].values()])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_equals_one_vector_to_the_bit(make, variant):
    rng = np.random.default_rng(0)
    params = make(*arrays())
    state, w = rprop_init(params, 0.3), vector(params)
    own = rprop_init(w, 0.3)
    for loss in (3.0, 4.0, np.nan, 1.0, 1.0, 2.0):
        grads = make(*(np.asarray(rng.choice([1, -1, 0, np.nan], a.shape)) for a in arrays()))
        masks = make(*(rng.random(a.shape) < 0.7 for a in arrays()))
        settings = {"variant": variant, "loss": loss, "step_sizes": (0.01, 0.4)}
        if variant == "rprop+":  # without masks, too
            masks = True
        where = masks if masks is True else vector(masks).astype(bool)
        params, state = rprop_step(params, grads, state, where=masks, **settings)
        w, own = rprop_step(w, vector(grads), own, where=where, **settings)
        found = (vector(params), *map(vector, state[:3]), state.prev_loss)
        assert bits(*found) == bits(w, *own)
    assert type(params) is type(make(*arrays()))
    assert flatten(params)[0].keys() == flatten(make(*arrays()))[0].keys()


def test_a_problem_with_none_to_step_keeps_its_loss():
    params, state = {"a": np.ones(2)}, rprop_init({"a": np.ones(2)})
    for where, expected in [(True, 5.0), (False, 5.0), ({"a": [False, False]}, 5.0)]:
        _, state = rprop_step(
            params, params, state, loss=5.0 if where is True else 7.0, where=where
        )
        assert state.prev_loss == expected
    _, state = rprop_step(params, params, state, loss=7.0, where={"a": [False, True]})
    assert state.prev_loss == 7


def test_what_is_a_tree():
    a = np.ones(2)
    for tree in ({}, {"a": 1.0}, [a], (a, 1.0), [[1.0], a], Layer(1.0, 2.0), Net([]), [None], [{}], [[a], [a]],
                 [Layer(1.0, 2.0)]):  # fmt: skip
        assert is_tree(tree), tree
    for other in (
        a,
        1.0,
        [1.0, 2],
        (1.0, np.float32(2)),
        [[1, 2], [3, 4]],
        [],
        "ab",
        None,
        Net,
        object(),
    ):
        assert not is_tree(other), other


def test_what_has_a_shape_is_no_tree_within_one():
    @dataclass
    class Shaped:
        data: Any
        shape: tuple = (2,)

    array = Shaped(np.ones(2))
    leaves, unflatten = flatten({"a": array})
    assert leaves["['a']"] is array
    assert unflatten([1.0]) == {"a": 1.0}


def test_settings_for_every_leaf():
    params = {"a": np.zeros(2), "b": [np.zeros(1), np.zeros(1)]}
    grads = {"a": [1.0, -1.0], "b": [[1.0], [0.0]]}
    state = rprop_init(params, {"a": [0.5, 0.25], "b": 0.125})
    stepped, _ = rprop_step(params, grads, state)
    assert vector(stepped).tolist() == [-0.5, 0.25, -0.125, 0.0]
    limits = ({"a": 0.0, "b": [1.0, 2.0]}, 3.0)
    stepped, _ = rprop_step(params, grads, state, step_sizes=limits)
    assert vector(stepped).tolist() == [-0.5, 0.25, -1.0, 0.0]


def test_states_are_pickled_and_inputs_left_alone():
    params = TREES["dataclass"](*arrays())
    state = rprop_init(params, 0.3)
    for array in (*flatten(params)[0].values(), *flatten(state)[0].values()):
        array.setflags(write=False)
    stepped, after = rprop_step(params, params, state)
    assert vector(params).tolist() == [0, 1, 2, 3, 4, 5, -1, 2, 0.5]
    again = pickle.loads(pickle.dumps(after))
    assert bits(*map(vector, again[:3]), again.prev_loss) == bits(
        *map(vector, after[:3]), after.prev_loss
    )
    assert bits(vector(rprop_step(stepped, params, again)[0])) == bits(
        vector(rprop_step(stepped, params, after)[0])
    )


def test_a_dict_keeps_its_default():
    params = defaultdict(list, a=np.ones(2))
    stepped, _ = rprop_step(params, params, rprop_init(params))
    assert stepped.default_factory is list


def test_float16_and_complex_leaves():
    params = {"h": np.ones(2, np.float16), "z": np.ones(2, complex)}
    state = rprop_init(params, 0.5)
    assert state.delta["h"].dtype == np.float32
    assert state.delta["z"].shape == (4,)
    stepped, _ = rprop_step(params, {"h": [1, -1], "z": [1 - 1j, 0]}, state, loss=1.0)
    assert (stepped["h"].dtype, stepped["h"].tolist()) == (np.float16, [0.5, 1.5])
    assert stepped["z"].tolist() == [0.5 + 0.5j, 1.0]


def test_ravel_and_back():
    params = TREES["dataclass"](*arrays())
    x, back = ravel(params)
    assert x.tolist() == vector(params).tolist()
    twin = back(x * 2)
    assert bits(vector(twin)) == bits(x * 2)
    assert twin.layers[0].weights.shape == (2, 3)
    assert ravel({})[0].shape == (0,)
    assert ravel({})[1](np.empty(0)) == {}


BAD = [
    (
        {"grads": {"a": np.ones(2)}},
        ValueError,
        r"grads .* structure of params; .*keys \['a'\], \['b'\], grads is or has the keys \['a'\]$",
    ),
    ({"grads": 1.0}, ValueError, "grads must have the structure of params; .* is or has float"),
    ({"grads": np.ones(3)}, ValueError, "grads must have the structure of params; .* ndarray"),
    (
        {"grads": {"a": [1.0], "b": [1.0]}},
        ValueError,
        r"at params\['a'\]: grads must have the shape",
    ),
    (
        {"state": rprop_init(np.ones(2))},
        ValueError,
        "state.delta must have the structure of params",
    ),
    ({"state": None}, TypeError, "state must be an RpropState; got None"),
    ({"loss": [1.0, 2.0]}, ValueError, "loss must be a scalar"),
    ({"variant": "irprop+"}, ValueError, "variant 'irprop\\+' needs the loss"),
    ({"where": np.ones(2, bool)}, ValueError, "where must have the structure of params"),
    ({"out": ({}, None)}, TypeError, "out must be None for a tree"),
    ({"step_sizes": 1.0}, TypeError, "step_sizes must be a pair"),
    ({"step_sizes": (0.1, 1.0, 2.0)}, TypeError, "step_sizes must be a pair"),
    ({"state": ({}, {}, {})}, TypeError, "state must be an RpropState; got"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_bad_arguments(bad, error, message):
    params = {"a": np.ones(2), "b": np.ones(1)}
    good = {"params": params, "grads": params, "state": rprop_init(params)}
    with pytest.raises(error, match=message):
        rprop_step(**{**good, **bad})


def test_a_state_of_plain_numbers():
    params = {"a": 1.0, "b": [2.0, np.ones(1)]}
    state = rprop_init(params)
    plain = ({"a": 0.1, "b": [0.1, [0.1]]}, {"a": 0, "b": [0, [0]]}, {"a": 0, "b": [0, [0]]}, 3.0)
    given = {"variant": "irprop+", "loss": 1.0}
    expected = rprop_step(params, params, state, **given)
    found = rprop_step(params, params, plain, **given)
    assert bits(*map(vector, (found[0], *found[1][:3]))) == bits(
        *map(vector, (expected[0], *expected[1][:3]))
    )


def test_errors_of_other_libraries_stay_as_they_are():
    class Own(TypeError):
        def __init__(self, one, other):
            super().__init__(one, other)

    class Broken:
        shape = (2,)

        def __array__(self, *_, **__):
            raise Own(1, 2)

    with pytest.raises(Own):
        rprop_init({"a": Broken()})


def test_the_place_of_a_mistake_is_named():
    params, grads = {"a": [np.ones(1), {"b": 1.0}]}, {"a": [np.ones(1), {"c": 1.0}]}
    message = (
        r"params\['a'\]\[1\] has the keys \['b'\], grads\['a'\]\[1\] is or has the keys \['c'\]$"
    )
    with pytest.raises(ValueError, match=message):
        rprop_step(params, grads, rprop_init(params))


def test_an_array_of_no_dimension_holds_for_all_leaves():
    params = {"a": np.ones(2), "b": [np.ones(1), 1.0]}
    state = rprop_init(params, np.array(0.25))
    assert vector(state.delta).tolist() == [0.25] * 4


def test_a_leaf_that_is_no_array():
    with pytest.raises(TypeError, match=r"at params\['name'\]: params must be an array of numbers"):
        rprop_init({"w": 1.0, "name": "layer"})
    state = rprop_init({"a": np.ones(2)})
    with pytest.raises(ValueError, match=r"state.prev_loss must have shape \(\) for a tree; got"):
        rprop_step({"a": np.ones(2)}, {"a": np.ones(2)}, state._replace(prev_loss=np.ones(2)))


def test_with_jax():
    jax = pytest.importorskip("jax", reason="pytrees of JAX need JAX")

    @jax.tree_util.register_pytree_node_class
    class Own:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def tree_flatten(self):
            return (self.a, self.b), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    @jax.tree_util.register_dataclass
    @dataclass
    class Static:
        w: Any
        name: str = field(default="relu", metadata={"static": True})

    params = Own(jax.numpy.zeros(2), [Static(jax.numpy.zeros(())), {"n": None}])
    ones = jax.tree.map(jax.numpy.ones_like, params)
    step = jax.jit(rprop_step, static_argnames="variant")
    state = rprop_init(params, 0.5)
    for loss, expected in [(1.0, -0.5), (2.0, 0.0)]:
        params, state = step(params, ones, state, variant="irprop+", loss=loss)
        ones = jax.tree.map(jax.numpy.negative, ones)
        assert [leaf.tolist() for leaf in jax.tree.leaves(params)] == [[expected] * 2, expected]
    assert params.b[0].name == "relu"
    jax.tree_util.register_pytree_node(Empty, lambda _: ((), None), lambda *_: Empty())
    assert rprop_init({"a": Empty(), "b": 1.0}).delta["b"] == 0.1
    with pytest.raises(TypeError, match="of a generator: list it first"):
        rprop_init(x for x in [1.0])
    masked = jax.jit(lambda p, s, m: rprop_step(p, p, s, where=m))
    ones = {"a": jax.numpy.ones(2)}
    stepped, _ = masked(ones, rprop_init(ones, 0.5), {"a": jax.numpy.array([True, False])})
    assert stepped["a"].tolist() == [0.5, 1.0]
    assert isinstance(state, RpropState)
    assert jax.tree.structure(rprop_init(params)) == jax.tree.structure(state)


def test_with_torch():
    torch = pytest.importorskip("torch", reason="parameters of torch need torch")
    pytest.importorskip("array_api_compat", reason="arrays of torch need array-api-compat")
    model = torch.nn.Linear(2, 1)
    params = dict(model.named_parameters())
    state = rprop_init(params, 0.5)
    model(torch.ones(1, 2)).sum().backward()
    with torch.no_grad():
        stepped, _ = rprop_step(params, {name: p.grad for name, p in params.items()}, state)
        assert torch.equal(stepped["weight"], model.weight - 0.5)
