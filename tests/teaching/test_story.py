"""`python -m rprop` tells its story in numbers that others agree with."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize

from rprop import minimize_rprop
from rprop.teaching import story


def test_it_runs_and_fits_the_terminal():
    done = subprocess.run(
        [sys.executable, "-m", "rprop"], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for title in ("1. One minimum", "2. A linear layer", "3. Logistic regression"):
        assert title in done.stdout


def test_rprop_sees_no_difference_between_exploding_and_vanishing(capsys):
    steep, flat = story.two_slopes(50)
    assert capsys.readouterr().out
    np.testing.assert_array_equal(steep.curves["Rprop"], flat.curves["Rprop"])
    for panel in (steep, flat):
        descent, rprop = panel.curves.values()
        assert story.distance(rprop)[-1] < 1e-2 < story.distance(descent)[-1]


@pytest.mark.parametrize("slope", [story.explode, story.vanish])
def test_gradients_of_the_first_story(slope):
    value = {
        story.explode: lambda x: (x - 1) ** 8,
        story.vanish: lambda x: (x - 1) ** 2 / (1 + (x - 1) ** 2),
    }[slope]
    x = np.array([-1.5, 0.5, 3.0])
    np.testing.assert_allclose(slope(x), (value(x + 1e-6) - value(x - 1e-6)) / 2e-6, rtol=1e-6)


def test_the_layer_is_torchs_to_the_bit():
    torch = pytest.importorskip("torch")
    inputs, targets, layer = map(torch.tensor, story.layer_data())
    model = torch.nn.Linear(3, 2, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(layer[:3].T)
        model.bias.copy_(layer[3])
    optimizer = torch.optim.Rprop(
        model.parameters(), lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-6, 50)
    )
    losses, layers, _ = story.train_layer(60)
    for loss, expected in zip(losses, layers, strict=True):
        error = torch.nn.functional.mse_loss(model(inputs), targets)
        assert error.item() == pytest.approx(loss, rel=1e-12)
        weights = torch.vstack([model.weight.T, model.bias]).detach().numpy()
        np.testing.assert_array_equal(weights, expected)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()


def test_logistic_gradient_and_data():
    features, labels = story.cancer_data()
    assert features.shape == (569, 30)
    assert (labels == 1).sum() == 357  # benign, as the data's description says
    model = story.Logistic(features / features.max(axis=0), labels, np.full(30, 0.1))
    weights = np.random.default_rng(0).standard_normal(31)
    own = minimize(model, weights, jac=True, method=minimize_rprop, options={"maxiter": 1})
    steps = 1e-6 * np.eye(31)
    slopes = [(model(own.x + e)[0] - model(own.x - e)[0]) / 2e-6 for e in steps]
    np.testing.assert_allclose(own.jac, slopes, rtol=1e-5, atol=1e-8)


def test_the_figure_of_the_readme_has_two_panels(tmp_path):
    pytest.importorskip("matplotlib")
    story.draw(story.two_slopes(), tmp_path / "two.png")
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    story.main(["--plot", str(tmp_path / "story.png")])
    assert (tmp_path / "story.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "message"),
    [("story.xyz", "must name a file that ends in one of"), ("no/story.png", "can be written")],
)
def test_a_plot_that_cannot_be_written(tmp_path, capsys, name, message):
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit) as exit_:
        story.main(["--plot", str(tmp_path / name)])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_plot_without_matplotlib(capsys, monkeypatch):
    for name in [*filter(lambda n: n.startswith("matplotlib"), sys.modules), "matplotlib.figure"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as exit_:
        story.main(["--plot", "story.png"])
    assert exit_.value.code == 2
    assert "pip install 'rprop[plot]'" in capsys.readouterr().err
