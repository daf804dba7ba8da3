"""Networks, trained full-batch."""

import numpy as np
from scipy.special import expit


class Network:
    """Mean squared error of a network with one hidden layer of sigmoids, gradients by hand."""

    def __init__(self, inputs, targets, hidden, goal, scale=0.5):
        self.inputs = np.column_stack([inputs, np.ones(len(inputs))])
        self.targets, self.goal, self.scale = targets, goal, scale
        self.shapes = (self.inputs.shape[1], hidden), (hidden + 1, targets.shape[1])
        self.split = self.shapes[0][0] * hidden
        self.size = self.split + (hidden + 1) * targets.shape[1]

    def start(self, rng):
        """Return random weights."""
        return rng.uniform(-self.scale, self.scale, self.size)

    def __call__(self, weights):
        """Return loss and gradient."""
        first = weights[: self.split].reshape(self.shapes[0])
        second = weights[self.split :].reshape(self.shapes[1])
        hidden = np.column_stack([expit(self.inputs @ first), np.ones(len(self.inputs))])
        outputs = expit(hidden @ second)
        error = outputs - self.targets
        back = error * outputs * (1 - outputs) * (2 / error.size)
        inner = (back @ second[:-1].T) * hidden[:, :-1] * (1 - hidden[:, :-1])
        return (error**2).mean(), np.concatenate(
            [(self.inputs.T @ inner).ravel(), (hidden.T @ back).ravel()]
        )
