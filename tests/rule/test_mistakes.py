"""Typical mistakes get an error that says what to do next."""

import numpy as np
import pytest

from rprop import rprop_init, rprop_step

STATE = rprop_init([1.0, 2.0])


@pytest.mark.parametrize(
    ("function", "unknown", "hint"),
    [
        (rprop_init, "lr", r"delta0=\.\.\. of rprop_init\?"),
        (rprop_init, "delta_0", r"delta0=\.\.\.\?"),
        (rprop_step, "learning_rate", r"delta0=\.\.\. of rprop_init\?"),
        (rprop_step, "eta_plus", r"etas=\(η-, η\+\)\?"),
        (rprop_step, "max_step_size", r"step_sizes=\(Δmin, Δmax\)\?"),
        (rprop_step, "varient", r"variant=\.\.\.\?"),
    ],
)
def test_keywords_of_other_libraries(function, unknown, hint):
    given = ([1.0, 2.0],) if function is rprop_init else ([1.0, 2.0], [1.0, 1.0], STATE)
    message = rf"^{function.__name__}\(\) got an unexpected keyword argument '{unknown}'; "
    with pytest.raises(TypeError, match=message + f"did you mean {hint}$"):
        function(*given, **{unknown: 0.1})


def test_keywords_like_nothing():
    message = r"^rprop_init\(\) got an unexpected keyword argument 'zzz'$"
    with pytest.raises(TypeError, match=message):
        rprop_init([1.0, 2.0], zzz=1)


def test_values():
    with pytest.raises(ValueError, match=r"the other way round, \(0.5, 1.2\)\?"):
        rprop_step([1.0, 2.0], [1.0, 1.0], STATE, etas=(1.2, 0.5))
    with pytest.raises(TypeError, match=r"of a generator: list it first, \[\*\.\.\.\]"):
        rprop_init(x for x in [np.ones(2)])
    with pytest.raises(TypeError, match="of a dict: every other argument is a tree only if params"):
        rprop_step([1.0, 2.0], {"a": 1.0}, STATE)
    with pytest.raises(TypeError, match=r"got a tuple of 8: rprop_init\(params\) makes one"):
        rprop_step([1.0, 2.0], [1.0, 1.0], (*STATE, *STATE))


def test_tensors_that_require_grad():
    torch = pytest.importorskip("torch", reason="tensors need torch")
    pytest.importorskip("array_api_compat", reason="arrays of torch need array-api-compat")
    p = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"autograd would record .* torch.no_grad\(\), or with"):
        rprop_step(p, torch.ones(2), rprop_init(p))
