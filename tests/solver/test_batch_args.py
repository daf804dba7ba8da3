"""Which arguments are cut to the rows that run, in which form `fun` gets them, and how many rows."""

import numpy as np
import pytest

from rprop import minimize_batch, multistart
from rprop.solver import batch
from tests.solver.batches import KEYS, PROBLEMS, rosenbrock, solve, starts

TARGETS = np.array([[1.0, 2.0], [-3.0, 0.5], [4.0, -4.0]])


def away(X, targets):
    """Squared distances, each weighted by its own problem's number of halvings."""
    return ((X - targets) ** 2).sum(axis=1), 2 * (X - targets)


def same(result, other):
    for key in KEYS:
        np.testing.assert_array_equal(result[key], other[key], err_msg=key)


SHARED = {
    "array": np.array([1.0, 2.0, 3.0]),
    "list": [1.0, 2.0, 3.0],
    "tuple": (1.0, 2.0, 3.0),
    "table": np.ones((3, 5)),
    "dict": {"number": 7, "weights": np.ones(3)},
}


@pytest.mark.parametrize("kind", SHARED)
def test_what_could_be_shared_or_not_is_an_error_that_names_it(kind):
    X0 = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"args\[1\] has as many entries .* problems, 3.*in_axes"):
        minimize_batch(lambda X, a, b: away(X, 0), X0, (7, SHARED[kind]))


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("axes", [None, (None, None)])
def test_a_shared_argument_arrives_as_it_is(kind, axes):
    seen = []

    def fun(X, other, arg):
        seen.append((len(X), arg))
        return away(X, TARGETS[0] * (len(X) == 3))

    X0 = np.array([[1.0, 2.0], [5.0, 5.0], [6.0, 0.0]])  # the first one ends at once
    minimize_batch(fun, X0, (None, SHARED[kind]), in_axes=axes, maxiter=3)
    assert {count for count, _ in seen} > {3}
    assert all(arg is SHARED[kind] for _, arg in seen)


def test_arguments_that_can_only_be_shared_need_no_word():
    seen = []

    def fun(X, whole, name, number, scalar):
        seen.append((whole.shape, name, number, scalar.shape))
        return away(X, 0)

    minimize_batch(fun, np.ones((3, 2)), (np.zeros(4), "abc", 3, np.array(1.0)), maxiter=1)
    assert seen[0] == ((4,), "abc", 3, ())
    minimize_batch(away, np.ones((1, 2)), (np.zeros((1, 2)),))  # of one row


def pandas_frame():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    return pandas.DataFrame(TARGETS, index=[30, 10, 20], columns=["a", "b"])


FORMS = {
    "array": lambda: TARGETS,
    "list": TARGETS.tolist,
    "list of arrays": lambda: list(TARGETS),
    "pandas": pandas_frame,
    "dict": lambda: {"targets": TARGETS, "names": ["a", "b", "c"]},
    "strings": lambda: ["1 2", "-3 .5", "4 -4"],
}


def understood(arg):
    if isinstance(arg, dict):
        arg = arg["targets"]
    if isinstance(arg, list):
        assert isinstance(arg[0], str)
        arg = [line.split() for line in arg]
    return np.asarray(arg, float)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("axes", [(None, 0), [None, 0]])
@pytest.mark.parametrize("keep_shape", [False, True])
def test_what_belongs_to_the_problems_is_cut_in_every_form(form, axes, keep_shape):
    arg = FORMS[form]()

    def fun(X, three, arg):
        assert three == [1, 2, 3]
        assert type(arg) is type(FORMS[form]()) or form.startswith("list")
        return away(X, understood(arg))

    X0 = np.array([TARGETS[0], [9.0, 9.0], [0.5, 0.5]])
    result = minimize_batch(fun, X0, ([1, 2, 3], arg), in_axes=axes, keep_shape=keep_shape)
    same(result, minimize_batch(away, X0, (TARGETS,), in_axes=0))
    assert len(set(result.nfev)) > 1


@pytest.mark.parametrize("keep_shape", [False, True])
@pytest.mark.parametrize("stay", [0, 1])
def test_fun_may_write_into_what_it_gets(keep_shape, stay):
    """Rows that follow one another, and rows that do not."""
    kept = TARGETS.copy()

    def hostile(X, targets):
        found = away(X, targets)
        targets[...] = np.nan
        X[...] = np.nan
        return found

    X0 = np.zeros((3, 2))
    X0[stay] = kept[stay]
    result = minimize_batch(hostile, X0, (kept,), in_axes=0, keep_shape=keep_shape)
    np.testing.assert_array_equal(kept, TARGETS)
    same(result, minimize_batch(away, X0, (TARGETS,), in_axes=0))


@pytest.mark.parametrize("block", [6, 14, 1000])
def test_fun_gets_one_shape_only(block, monkeypatch):
    """As functions do that are compiled for a shape."""
    monkeypatch.setattr(batch, "BLOCK", block)
    X0, steep = starts()
    shapes = set()

    def fun(X, steep):
        shapes.add((X.shape, steep.shape))
        return rosenbrock(X, steep)

    kept = solve(fun, X0, (steep,), keep_shape=True, maxiter=100)
    rows = min(block // 2, PROBLEMS)
    assert shapes == {((rows, 2), (rows,))}
    same(kept, solve(rosenbrock, X0, (steep,), maxiter=100))
    shapes.clear()
    solve(fun, X0, (steep,), maxiter=100)
    assert len(shapes) > 1


def test_one_shape_after_going_on():
    X0, steep = starts()
    shapes = set()

    def fun(X, steep):
        shapes.add(X.shape)
        return rosenbrock(X, steep)

    part = solve(rosenbrock, X0, (steep,), maxiter=40, return_state=True)
    solve(fun, None, (steep,), state=part.state, keep_shape=True, maxiter=40)
    assert shapes == {X0.shape}


def test_jax_compiles_once():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    compiled = []

    def fun(x, target):
        compiled.append(x.shape)  # runs only while it is compiled
        return ((x - target) ** 2).sum() + (x**4).sum()

    many = jax.jit(jax.vmap(jax.value_and_grad(fun), in_axes=(0, 0)))
    X0 = np.array([[0.0, 0.0], [9.0, 9.0], [0.5, 0.5]])
    result = minimize_batch(many, X0, (TARGETS,), in_axes=0, keep_shape=True, gtol=1e-3)
    assert len(compiled) == 1
    assert result.success.all()
    assert len(set(result.nfev)) > 1
    found = multistart(
        many,
        [(-3, 3)] * 2,
        8,
        args=(np.zeros((8, 2)),),
        vectorized=True,
        keep_shape=True,
        gtol=1e-3,
    )
    assert len(compiled) <= 2
    assert found.success


def test_losses_and_gradients_from_two_functions():
    X0, steep = starts()
    result = solve(
        lambda X, steep: rosenbrock(X, steep)[0],
        X0,
        (steep,),
        jac=lambda X, steep: rosenbrock(X, steep)[1],
        maxiter=50,
    )
    same(result, solve(rosenbrock, X0, (steep,), maxiter=50))


WRONG = {
    "length": ({"in_axes": (0,)}, ValueError, r"in_axes must have one entry for each of 2 args"),
    "axis": ({"in_axes": (1, None)}, ValueError, r"in_axes must be 0.*or None.*got \(1, None\)"),
    "flag": ({"in_axes": False}, ValueError, "in_axes must be 0.*got False"),
    "name": ({"in_axes": "row"}, ValueError, "in_axes must be 0.*got 'row'"),
    "short": ({"in_axes": (None, 0)}, ValueError, r"args\[1\] must hold one entry.*3 problems"),
    "scalar": (
        {"in_axes": 0, "args": (1.0,)},
        ValueError,
        r"args\[0\] must hold one entry.*got 1.0",
    ),
    "both": ({"args": (np.zeros(3),), "in_axes": "auto"}, ValueError, r"args\[0\] has as many"),
    "no jac": ({"jac": None}, TypeError, "does not estimate gradients; got None"),
    "jac": ({"jac": "2-point"}, TypeError, "does not estimate gradients; got '2-point'"),
    "shape": ({"keep_shape": "yes"}, TypeError, "keep_shape must be True or False; got 'yes'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input(name):
    given, kind, message = WRONG[name]
    given = {"in_axes": None, "args": (np.zeros(3), np.zeros(4)), **given}
    with pytest.raises(kind, match=message):
        minimize_batch(lambda X, *args: away(X, 0), np.zeros((3, 2)), **given)


def test_arguments_of_two_problems():
    with pytest.raises(ValueError, match=r"args\[0\] has as many entries as .* problems, 2"):
        minimize_batch(away, np.zeros((2, 2)), (TARGETS[0],))
    seen = []

    def fun(X, name, targets):
        seen.append((name, targets))
        return away(X, targets)

    options = {"in_axes": (None, np.int64(0)), "maxiter": 1}
    minimize_batch(fun, np.zeros((2, 2)), (b"ab", TARGETS[:2]), **options)
    assert seen[0][0] == b"ab"
    np.testing.assert_array_equal(seen[0][1], TARGETS[:2])
    minimize_batch(lambda X, name: away(X, 0), np.zeros((2, 2)), (b"ab",), maxiter=1)


def test_lists_in_a_dict_arrive_as_arrays():
    seen = []

    def fun(X, arg):
        seen.append(arg["targets"])
        return away(X, arg["targets"])

    arg = {"targets": TARGETS.tolist()}
    minimize_batch(fun, np.zeros((3, 2)), (arg,), in_axes=0, maxiter=1)
    assert isinstance(seen[0], np.ndarray)
    np.testing.assert_array_equal(seen[0], TARGETS)


class Table:
    """Rows of another library."""

    shape = (3, 2)

    def __getitem__(self, index):
        assert isinstance(index, np.ndarray)  # rows at once
        return TARGETS[index]


def test_arrays_of_other_libraries_are_cut_by_their_own_rules():
    minimize_batch(away, np.zeros((3, 2)), (Table(),), in_axes=0, maxiter=1)


@pytest.mark.parametrize("fun", [
    lambda X: (X.sum(axis=1), X[:, :1]),
    lambda X: (X.sum(axis=1), X[0]),
    lambda X: (X.sum(axis=1)[:, None], X),
])  # fmt: skip
def test_shapes_of_losses_and_gradients_are_checked(fun):
    with pytest.raises(ValueError, match=r"losses of shape \(3,\) and gradients of shape \(3, 2\)"):
        minimize_batch(fun, np.ones((3, 2)))


def test_jac_may_write_into_what_it_gets():
    def spoil(X):
        gradients = 2 * X
        X[:] = np.nan
        return gradients

    def losses(X):
        return (X * X).sum(axis=1)

    found, clean = (minimize_batch(losses, TARGETS, jac=jac) for jac in (spoil, lambda X: 2 * X))
    same(found, clean)


def test_in_axes_that_are_an_array():
    with pytest.raises(ValueError, match="in_axes must be 0"):
        minimize_batch(
            lambda x, a: ((a * x**2).sum(1), 2 * a * x),
            np.ones((3, 2)),
            args=(np.ones((3, 1)),),
            in_axes=np.zeros(2, int),
        )
