import importlib
import inspect
import subprocess
import sys

import pytest

import rprop


def test_the_core_loads_no_scipy():
    code = "import sys, rprop; rprop.rprop_step; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", rprop.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(rprop, name)
    assert name in dir(rprop)
    if inspect.isfunction(value):
        for section in ("Parameters", "Returns", "Examples"):
            assert f"{section}\n" in value.__doc__, section


@pytest.mark.parametrize("name", sorted(set(rprop.__all__) - {"VARIANTS"}))
def test_a_public_name_is_public_where_it_is_defined(name):
    value = getattr(rprop, name)
    module = importlib.import_module(value.__module__)
    assert name in module.__all__
    assert getattr(module, name) is value


def test_no_other_name():
    with pytest.raises(AttributeError, match="module 'rprop' has no attribute 'sgd'"):
        rprop.sgd  # noqa: B018
