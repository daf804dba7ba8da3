"""A logistic regression whose rows can be divided into partitions."""

import os

import numpy as np

ROWS, COLUMNS = 512, 6


def data(rows=ROWS, columns=COLUMNS, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, columns)) * 10.0 ** np.arange(-2, columns - 2)
    truth = rng.normal(size=columns) / 10.0 ** np.arange(-2, columns - 2)
    labels = rng.random(rows) < 1 / (1 + np.exp(-features @ truth))
    return features, np.where(labels, 1.0, -1.0)


def split(count, seed=None):
    rows = np.arange(ROWS)
    if seed is not None:
        np.random.default_rng(seed).shuffle(rows)
    features, labels = data()
    return [(features[part], labels[part]) for part in np.array_split(rows, count)]


def logistic(x, part):
    features, labels = part
    margin = labels * (features @ x)
    loss = np.logaddexp(0, -margin).sum()
    return loss, -(features * (labels * np.exp(-np.logaddexp(0, margin)))[:, None]).sum(axis=0)


def raises_on_last(x, part):
    if x[0] != 0 and part[1] is None:
        raise OSError("no such file")
    return logistic(x, (part[0], np.ones(len(part[0]))))


def dies_on_last(x, part):
    if x[0] != 0 and part[1] is None:
        os._exit(3)
    return logistic(x, (part[0], np.ones(len(part[0]))))


def same(result, other):
    assert result.status == other.status
    assert (result.nit, result.nfev) == (other.nit, other.nfev)
    assert result.fun == other.fun
    np.testing.assert_array_equal(result.x, other.x)
    np.testing.assert_array_equal(result.jac, other.jac)
