# Check an Rprop against core.json: python core.py core.json
import json
import struct
import sys


class Stepper:  # replace it by yours; this is iRprop-
    def __init__(self, params, delta0, etas, limits):
        self.params, self.delta, self.prev = list(params), [delta0] * len(params), [0] * len(params)
        self.etas, self.limits = etas, limits

    def step(self, grads, loss):
        for i, g in enumerate(grads):
            sign = (g > 0) - (g < 0)
            same = sign * self.prev[i]
            factor = self.etas[1] if same > 0 else self.etas[0] if same < 0 else 1
            self.delta[i] = min(max(self.delta[i] * factor, self.limits[0]), self.limits[1])
            self.prev[i] = 0 if same < 0 else sign
            self.params[i] -= self.prev[i] * self.delta[i]


vectors, variant = json.load(open(sys.argv[1])), "irprop-"
for case in vectors["cases"]:
    stepper = Stepper(
        *(case[name][0] for name in ("params",)),
        case["delta0"][0][0],
        case["etas"][0],
        case["step_sizes"][0],
    )  # [0]: decimals, [1]: bits
    tape = zip(case["grads"], case["losses"][0], case["expected"][variant], strict=True)
    for number, (grads, loss, expected) in enumerate(tape, 1):
        stepper.step(grads[0], loss)
        if [struct.pack(">d", w + 0.0).hex() for w in stepper.params] != expected[1]:
            sys.exit(f"{case['id']}, step {number}: {stepper.params} should be {expected[0]}")
print(f"conforms to {variant} core {vectors['version']}")
