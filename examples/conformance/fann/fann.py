"""FANN's iRPROP-, through its public functions: apt-get install libfann-dev, then

python -c "from fann import Fann; from rprop.conformance import check; print(check(Fann))"

A linear unit with input 1 has the error (target - output)^2 / 2: the target output - g gives it
the gradient g. FANN clips weights at 1500 and keeps its factors in single precision.
"""

import ctypes as c

import numpy as np

from rprop.conformance import Limits

fann = c.CDLL("libdoublefann.so.2")
fann.fann_create_standard.restype = fann.fann_create_train_from_callback.restype = c.c_void_p
fann.fann_run.restype = c.POINTER(c.c_double)
Doubles = c.POINTER(c.c_double)
FILL = c.CFUNCTYPE(None, c.c_uint, c.c_uint, c.c_uint, Doubles, Doubles)
LINEAR, RPROP = 0, 2


class Fann:
    limits = Limits(etas=(0.5, float(np.float32(1.2))), sizes=False)

    def __init__(self, params, delta0, etas, step_sizes):
        self.params, self.n = params, len(params)
        self.ann = c.c_void_p(fann.fann_create_standard(2, 1, self.n))
        fann.fann_set_activation_function_output(self.ann, LINEAR)
        fann.fann_set_activation_steepness_output(self.ann, c.c_double(1))
        fann.fann_set_training_algorithm(self.ann, RPROP)
        fann.fann_set_train_error_function(self.ann, 0)  # linear, not tanh
        fann.fann_set_rprop_delta_zero(self.ann, c.c_float(delta0))
        fann.fann_set_rprop_delta_min(self.ann, c.c_float(step_sizes[0]))
        fann.fann_set_rprop_delta_max(self.ann, c.c_float(step_sizes[1]))
        for i, w in enumerate(params):  # neurons: 0 the input, 1 the bias, then the outputs
            fann.fann_set_weight(self.ann, 0, 2 + i, c.c_double(w))
            fann.fann_set_weight(self.ann, 1, 2 + i, c.c_double(0))
        self.start, self.before = params, self.outputs()

    def outputs(self):
        answer = fann.fann_run(self.ann, (c.c_double * 1)(1))
        return np.array([answer[i] for i in range(self.n)])

    def __del__(self):
        fann.fann_destroy(self.ann)

    def step(self, grads, loss):
        targets = self.outputs() - grads

        def fill(num, inputs, outputs, x, y):
            x[0] = 1
            for i, target in enumerate(targets):
                y[i] = target

        callback = FILL(fill)
        data = c.c_void_p(fann.fann_create_train_from_callback(1, 1, self.n, callback))
        fann.fann_train_epoch(self.ann, data)
        fann.fann_destroy_train(data)
        # The bias and the weight start a tape with the same steps: each moved half of the output.
        self.params = self.start + (self.outputs() - self.before) / 2
