"""What could be repeated of the paper of 1993: the networks, and the kept runs within bands of it."""

import json
import math

import numpy as np
import pytest
from scipy.optimize import check_grad

from benchmarks.bench_1993 import PAPER, RESULT, encoder, epochs, good_range, middle, spirals


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (encoder(10, 5), 11 * 5 + 6 * 10),
        (encoder(10, 5, offset=0.0), 11 * 5 + 6 * 10),
        (spirals("sigmoid"), 3 * 5 + 8 * 5 + 13 * 5 + 18),
        (spirals(), 3 * 5 + 8 * 5 + 13 * 5 + 18),
    ],
    ids=["with a constant", "encoder", "sigmoids", "tanh"],
)
def test_the_gradient_is_that_of_the_loss(network, size):
    assert network.size == size

    def loss(weights):
        return ((network(weights[None])[0] - network.targets) ** 2).sum() / 2

    weights = np.random.default_rng(0).standard_normal(size)
    gradient = network(weights[None])[1][0]
    error = check_grad(loss, lambda w: network(w[None])[1][0], weights)
    if network.offset:  # then the gradient is not that of the loss, as it should not be
        assert error > 0.1 * np.linalg.norm(gradient)
    else:
        assert error < 1e-5 * np.linalg.norm(gradient)


def test_the_spirals_are_194_points_on_two_arms():
    network = spirals()
    assert network.inputs.shape == (194, 2)
    assert (network.inputs[:97] == -network.inputs[97:]).all()
    assert (network.targets[:97] == 1).all()
    assert (network.targets[97:] == -1).all()
    radii = np.hypot(*network.inputs[:97].T)
    assert math.isclose(radii[0], 6.5)
    assert (np.diff(radii) < 0).all()


def test_runs_count_the_steps_to_the_first_that_is_right():
    network = encoder(4, 3)
    [count] = epochs(network, 1)
    assert count > 0
    assert epochs(network, 1, most=count) == [count]
    assert epochs(network, 1, most=count - 1) == [None]


def test_a_run_does_not_depend_on_those_beside_it():
    assert epochs(encoder(4, 3), 5)[:2] == epochs(encoder(4, 3), 2)


@pytest.mark.parametrize("delta0", [0.1, 2.0])
def test_the_small_encoder_takes_about_as_long_as_in_1993(delta0):
    then = {0.1: PAPER["10-5-10 encoder"]["standard"], 2.0: PAPER["10-5-10 encoder"]["best"]}
    taken = epochs(encoder(10, 5), 40, delta0)
    assert None not in taken
    assert 0.7 * then[delta0] <= middle(taken) <= 1.3 * then[delta0]


def test_the_kept_runs_are_in_bands_around_the_paper():
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    assert kept["paper"] == PAPER
    for name, by_delta in kept["deltas"].items():
        paper = PAPER[name]
        for delta0, then in ((0.1, paper["standard"]), (paper["delta0"], paper["best"])):
            taken = by_delta[f"{delta0:g}"]
            assert None not in taken
            assert 0.5 * then <= middle(taken) <= 1.3 * then
        low, high = good_range(by_delta)
        assert low <= paper["range"][0]
        assert high >= paper["range"][1]
    without = kept["no offset"]["12-2-12 encoder"]
    assert without.count(None) > 0.8 * len(without)
    solved = [count for count in kept["spirals"]["tanh"] if count is not None]
    paper = PAPER["two spirals"]
    assert 0.5 * paper["runs"] <= len(solved) < paper["solved"]
    assert paper["least"] < min(solved)
    assert 0.5 * paper["mean"] < middle(kept["spirals"]["tanh"]) < 2 * paper["mean"]


def test_a_given_up_run_counts_as_infinite():
    assert middle([1, None, 3]) == 3
    assert middle([None, None, 3]) == math.inf
    assert good_range({"0.1": [10], "1": [14], "5": [16]}) == (0.1, 1.0)
