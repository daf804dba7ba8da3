"""One `rprop_step` for the arrays of every library, equal to NumPy's to the bit."""

import re
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprop import VARIANTS, RpropState, rprop_init, rprop_step
from tests.strategies import bits, rows

VALUES = [1.0, -1.0, 1.0, -1.0, 0.0, -0.0, 1e-30, -1e30, np.inf, -np.inf, np.nan]


class Library:
    """How to make arrays of a library."""

    def __init__(self, name):
        self.name = name
        self.module = pytest.importorskip(name)
        if name in ("torch", "dask.array"):
            pytest.importorskip("array_api_compat")
        if name == "jax.numpy":
            import_module("jax").config.update("jax_enable_x64", True)
        self.type = type(self(np.zeros(2)))

    def __call__(self, value):
        if isinstance(value, tuple):
            return RpropState(*map(self, value))
        if not isinstance(value, np.ndarray):
            return value
        if self.name == "dask.array":
            return self.module.from_array(value, chunks=2 if value.ndim else ())
        return self.module.asarray(value.copy())


@pytest.fixture(scope="module", params=["array_api_strict", "torch", "jax.numpy", "dask.array"])
def library(request):
    return Library(request.param)


def numpy(result):
    """Bring a result back."""
    params, state = result
    return np.asarray(params), RpropState(*map(np.asarray, state))


def run(seed, variant, dtype, shape):
    """Return the arguments of the steps of a run with NumPy, and their results."""
    rng = np.random.default_rng(seed)
    params = rng.standard_normal(shape).astype(dtype)
    state = rprop_init(params, rng.uniform(0.1, 1, shape[-1:]))
    for number in range(8):
        grads = np.asarray(rng.choice(VALUES, shape)).astype(dtype)
        options = {
            "variant": variant,
            "loss": np.asarray(rng.choice([0.0, 1.0, np.nan, -np.inf], shape[:-1])),
            "where": True if number % 2 else np.asarray(rng.random(shape) < 0.8),
            "step_sizes": (
                (1e-6, 50.0) if number % 3 else (rng.uniform(0, 0.05, shape), np.asarray(2.0))
            ),
        }
        result = rprop_step(params, grads, state, **options)
        yield (params, grads, state), options, result
        params, state = result


@settings(max_examples=20)
@given(
    st.integers(0, 2**32),
    rows,
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([(), (3,), (2, 5), (2, 1, 3), (0,)]),
)
def test_equals_numpy_to_the_bit(library, seed, variant, dtype, shape):
    if library.name == "dask.array" and 0 in shape:
        return  # it cannot cut nothing into chunks
    for arguments, options, expected in run(seed, variant, dtype, shape):
        limits = options["step_sizes"]
        options["step_sizes"] = tuple(map(library, limits))
        options |= {name: library(options[name]) for name in ("loss", "where")}
        result = rprop_step(*map(library, arguments), **options)
        assert all(isinstance(array, library.type) for array in (result[0], *result[1]))
        assert bits(*numpy(result)) == bits(*expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_start_equals_numpy_to_the_bit(library, dtype):
    for shape in [(), (3,), (2, 4)]:
        params = np.ones(shape, dtype)
        for delta0 in (0.3, np.full(shape[-1:], 0.3)):
            state = rprop_init(library(params), library(np.asarray(delta0)))
            assert all(isinstance(array, library.type) for array in state)
            assert bits(*map(np.asarray, state)) == bits(*rprop_init(params, delta0))


def test_a_loss_may_be_a_number(library):
    params, grads, state = np.ones(3), np.ones(3), rprop_init(np.ones(3))
    for loss in (1.0, np.float64(2.0), 3):
        options = {"variant": "irprop+", "loss": loss}
        expected = rprop_step(params, grads, state, **options)
        result = rprop_step(*map(library, (params, grads, state)), **options)
        assert bits(*numpy(result)) == bits(*expected)


def test_whole_numbers_become_floats(library):
    params, grads = np.array([3, 4]), np.array([1, -2])
    state = rprop_init(params)
    result = rprop_step(*map(library, (params, grads, state)))
    assert bits(*numpy(result)) == bits(*rprop_step(params, grads, state))


def test_results_share_no_memory_with_arguments(library):
    if library.name in ("jax.numpy", "dask.array"):
        return  # these cannot be written to
    params, loss = library(np.ones((2, 3))), library(np.ones(2))
    state = rprop_init(params)
    before = bits(*map(np.asarray, (params, loss, *state)))
    result = rprop_step(params, params, state, variant="irprop+", loss=loss)
    for array in (result[0], *result[1]):
        array[...] = 7
    assert bits(*map(np.asarray, (params, loss, *state))) == before


def test_arrays_of_two_libraries(library):
    ours, theirs = np.ones(2), library(np.ones(2))
    state, name = rprop_init(theirs), library.name
    calls = {
        "grads": lambda: rprop_step(theirs, ours, state),
        "params": lambda: rprop_step(ours, theirs, state),
        "state": lambda: rprop_step(ours, ours, state),
        "loss": lambda: rprop_step(ours, ours, rprop_init(ours), loss=theirs[0]),
        "where": lambda: rprop_step(theirs, theirs, state, where=ours > 0),
        "limits": lambda: rprop_step(theirs, theirs, state, step_sizes=(0.0, ours)),
        "delta0": lambda: rprop_init(ours, theirs),
    }
    for call in calls.values():
        with pytest.raises(TypeError, match=f"numpy and {name}|{name} and numpy"):
            call()


def test_bad_arguments(library):
    x, name = library(np.ones(3)), library.name
    state = rprop_init(x)
    short = library(np.ones(2))
    cases = [
        (ValueError, r"grads must have the shape of params, \(3,\); got \(2,\)", (x, short, state)),
        (TypeError, f"grads must be an array of {name}; got list", (x, [1.0] * 3, state)),
        (TypeError, f"params must be an array of {name}; got list", ([1.0] * 3, x, state)),
        (
            ValueError,
            r"state.delta must have shape \(2,\); got shape \(3,\)",
            (short, short, state),
        ),
        (TypeError, "state must be an RpropState; got None", (x, x, None)),
        (TypeError, "state must be an RpropState; got ", (x, x, (x, x))),
    ]
    for kind, message, arguments in cases:
        with pytest.raises(kind, match=message):
            rprop_step(*arguments)
    options = [
        (TypeError, f"out must be None for arrays of {name}", {"out": (x, state)}),
        (TypeError, f"where must be an array of bool of {name}", {"where": x}),
        (ValueError, "where must broadcast against params", {"where": short > 0}),
        (ValueError, "step_sizes must broadcast against params", {"step_sizes": (0.0, short)}),
        (TypeError, "step_sizes must be a pair", {"step_sizes": 3.0}),
        (ValueError, "step_sizes must satisfy", {"step_sizes": (2.0, 1.0)}),
        (ValueError, r"loss must be a scalar or have .*\(\); got shape \(3,\)", {"loss": x}),
        (TypeError, "loss must be ", {"loss": "low"}),
        (ValueError, "needs the loss", {"variant": "irprop+"}),
        (ValueError, "variant must be one of", {"variant": "adam"}),
        (ValueError, "etas must satisfy", {"etas": (1.2, 0.5)}),
    ]
    for kind, message, option in options:
        with pytest.raises(kind, match=message):
            rprop_step(x, x, state, **option)
    with pytest.raises(ValueError, match="delta0 must be finite and positive"):
        rprop_init(x, 0.0)
    with pytest.raises(ValueError, match="delta0 must broadcast against params"):
        rprop_init(x, short)
    with pytest.raises(TypeError, match=f"params must be real in {name}; got dtype"):
        rprop_init(library(np.ones(2, complex)))


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jax_compiled_with_donated_buffers(variant, dtype):
    library = Library("jax.numpy")
    jax = pytest.importorskip("jax")
    step = jax.jit(partial(rprop_step, variant=variant), donate_argnums=(0, 2))
    rng = np.random.default_rng(0)
    ours = rng.standard_normal(50).astype(dtype), rprop_init(np.zeros(50, dtype))
    theirs = library(ours[0]), library(ours[1])
    for _ in range(50):
        grads, loss = rng.standard_normal(50).astype(dtype), rng.standard_normal()
        ours = rprop_step(ours[0], grads, ours[1], variant=variant, loss=loss)
        given = theirs[0]
        theirs = step(given, library(grads), theirs[1], loss=loss)
        assert given.is_deleted()
        assert bits(*numpy(theirs)) == bits(*ours)


def test_jax_mapped_over_problems():
    library = Library("jax.numpy")
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    params, losses = rng.standard_normal((4, 3)), rng.standard_normal((9, 4))
    ours = params, rprop_init(params)
    theirs = library(params), jax.vmap(rprop_init)(library(params))
    step = jax.vmap(lambda p, g, s, f: rprop_step(p, g, s, variant="irprop+", loss=f))
    for loss in losses:
        grads = rng.standard_normal((4, 3))
        ours = rprop_step(ours[0], grads, ours[1], variant="irprop+", loss=loss)
        theirs = step(theirs[0], library(grads), theirs[1], library(loss))
        assert bits(*numpy(theirs)) == bits(*ours)


def test_jax_without_float64_keeps_the_loss_in_float32():
    pytest.importorskip("jax")
    code = """if True:
        import jax.numpy as jnp
        from rprop import rprop_init, rprop_step
        params = jnp.ones(3)
        params, state = rprop_step(params, params, rprop_init(params), loss=1.0)
        assert [str(a.dtype) for a in (params, *state)] == ["float32", "float32", "int8"] + [
            "float32"] * 2"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_dask_kept_from_step_to_step():
    library = Library("dask.array")
    dask = pytest.importorskip("dask")
    rng = np.random.default_rng(0)
    params = rng.standard_normal(7)
    ours, theirs = (params, rprop_init(params)), (library(params), rprop_init(library(params)))
    for _ in range(9):
        grads = rng.standard_normal(7)
        ours = rprop_step(ours[0], grads, ours[1])
        theirs = rprop_step(theirs[0], library(grads), theirs[1])
        assert theirs[0].chunks == ((2, 2, 2, 1),)
        theirs = dask.persist(*theirs)
        assert len(theirs[0].__dask_graph__()) == 4  # what is left are the four chunks
        assert isinstance(theirs[1], RpropState)
        assert bits(*numpy(theirs)) == bits(*ours)


@pytest.mark.skipif(not which("c++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch itself
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_torch_compiled_in_one_graph(variant):
    library = Library("torch")
    torch = pytest.importorskip("torch")
    step = torch.compile(rprop_step, fullgraph=True)
    rng = np.random.default_rng(0)
    params = rng.standard_normal(50)
    ours, theirs = (params, rprop_init(params)), (library(params), rprop_init(library(params)))
    for _ in range(20):
        grads, loss = rng.standard_normal(50), np.asarray(rng.standard_normal())
        ours = rprop_step(ours[0], grads, ours[1], variant=variant, loss=loss)
        theirs = step(theirs[0], library(grads), theirs[1], variant=variant, loss=library(loss))
        assert bits(*numpy(theirs)) == bits(*ours)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_coarse_parameters_keep_a_float32_state(dtype):
    Library("torch")
    torch = pytest.importorskip("torch")
    params = torch.ones(3, dtype=getattr(torch, dtype))
    state = rprop_init(params)
    for _ in range(3):
        params, state = rprop_step(params, params, state)
    assert params.dtype == getattr(torch, dtype)
    assert state.delta.dtype == state.prev_update.dtype == torch.float32
    assert torch.equal(state.delta, torch.full((3,), np.float32(0.1) * np.float32(1.2) ** 2))


def test_torch_parameters_are_arrays_of_torch():
    Library("torch")
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.ones(2))
    weight.sum().backward()
    with torch.no_grad():
        moved, state = rprop_step(weight, weight.grad, rprop_init(weight))
    assert moved.tolist() == [np.float32(0.9)] * 2
    assert not state.delta.requires_grad


def test_without_array_api_compat(monkeypatch):
    torch = pytest.importorskip("torch")
    for name in [name for name in sys.modules if name.startswith("array_api_compat")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    with pytest.raises(ImportError, match=r"torch need array-api-compat: pip install 'rprop\[arr"):
        rprop_init(torch.ones(2))


def test_cupy_on_a_gpu():
    cupy = pytest.importorskip("cupy")
    pytest.importorskip("array_api_compat")
    try:
        cupy.zeros(1)
    except cupy.cuda.runtime.CUDARuntimeError:
        pytest.skip("there is no GPU")
    for arguments, options, expected in run(0, VARIANTS["irprop+"], np.float64, (2, 3)):
        given = [
            RpropState(*map(cupy.asarray, a)) if isinstance(a, tuple) else cupy.asarray(a)
            for a in arguments
        ]
        for name, value in options.items():
            if isinstance(value, np.ndarray):
                options[name] = cupy.asarray(value)
        options["step_sizes"] = tuple(map(cupy.asarray, options["step_sizes"]))
        params, state = rprop_step(*given, **options)
        assert bits(*map(cupy.asnumpy, (params, *state))) == bits(expected[0], *expected[1])


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_examples_of_the_page(name):
    Library({"torch": "torch", "jax": "jax.numpy"}[name])
    page = (Path(__file__).parents[2] / "docs/arrays.md").read_text(encoding="utf-8")
    (code,) = [part for part in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if name in part]
    result = {"torch": "weight", "jax": "params"}[name]
    code += f"\nassert abs({result}).max() < 1e-2"
    subprocess.run([sys.executable, "-c", code], check=True)
