"""Further bugs, most of them seen in some implementation: (class, variant, leading flag, words).

The words stand in what the check gives as the cause; "" where no sentence is owed.
"""

import numpy as np

from tests.conformance.mutants import Plain

MORE = []


def bug(flag, words="", variant="irprop-"):
    def register(cls):
        cls.variant = variant
        MORE.append((cls, variant, flag, words))
        return cls

    return register


@bug("parameters", "depends on the parameters")
class AddsTheParameterToTheGradient(Plain):
    pull = 50

    def coordinate(self, i, g, rose):
        return super().coordinate(i, g + self.pull * float(self.params[i]), rose)


@bug("parameters", "depends on the parameters")
class DecaysByTheGradient(AddsTheParameterToTheGradient):
    pull = 0.01


@bug("parameters", "depends on the parameters")
class DecaysBesideTheGradient(Plain):
    def coordinate(self, i, g, rose):
        return super().coordinate(i, g, rose) - self.type(2**-9) * self.params[i]


@bug("first-step", "no move where no sign is remembered", "irprop+")
class RestsWithoutASign(Plain):
    def coordinate(self, i, g, rose):
        known = self.prev[i] != 0
        move = super().coordinate(i, g, rose)
        return move if known else 0


@bug("undo-length", "goes back by the reduced step size", "rprop+")
class GoesBackByTheReducedStepAndRemembersTheOldSign(Plain):
    def coordinate(self, i, g, rose):
        flip = self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        if flip:
            self.prev[i] = -g
        return move

    def undo(self, i):
        return -np.sign(self.move[i]) * self.delta[i]


@bug("first-step", "delta0 times 0.1")
class StartsWithATenth(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0 / 10, etas, step_sizes)


@bug("first-step", "1e-06, whatever delta0 is", "rprop-")
class StartsWithTheLeastStep(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, 1e-6, etas, step_sizes)


@bug("magnitude", "products of gradients below about 1e-10")
class HasADeadZoneOnTheProduct(Plain):
    zone = 1e-10

    def agreement(self, g, prev):
        with np.errstate(all="ignore"):
            small = abs(float(g) * float(prev)) < self.zone
        return 0 if small else super().agreement(g, prev)


@bug("magnitude", "products of gradients below about 1e-13", "rprop+")
class HasASmallDeadZoneOnTheProduct(HasADeadZoneOnTheProduct):
    zone = 1e-13


@bug("first-step", "it is only stored")
class OnlyStoresTheFirstGradient(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        return 0 if self.count == 1 else move


@bug("first-step", "it is lost", "rprop-")
class LosesTheFirstGradient(Plain):
    def step(self, grads, loss):
        super().step(np.zeros_like(grads) if self.count == 0 else grads, loss)


@bug("first-step", "a gradient of 1 is remembered", "irprop+")
class RemembersAOneFromBefore(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, etas, step_sizes)
        self.prev[:] = 1


@bug("after-flip", "the old sign is remembered")
class NeverUnfreezesTheBias(Plain):
    def coordinate(self, i, g, rose):
        before, flip = self.prev[i], self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        if flip and i == len(self.params) - 1:
            self.prev[i] = before  # "derivative = 0" where "previous derivative = 0" was meant
        return move


@bug("loss-rose", "steps down by the reduced step size", "irprop+")
class UndoesWithoutTheSign(Plain):
    def undo(self, i):
        return -self.delta[i]


@bug("same-sign", "grows by 1.2001")
class GrowsByAnotherConstant(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, (etas[0], 1.2001), step_sizes)


@bug("same-sign", "eta_plus times 1.0001", "rprop-")
class GrowsALittleTooMuch(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, (etas[0], etas[1] * 1.0001), step_sizes)


@bug("sign-flip", "shrinks by 0.5, whatever eta_minus is")
class ShrinksByAHalfAlways(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, (0.5, etas[1]), step_sizes)


@bug("loss-fell", "repeats its last move", "irprop+")
class RepeatsTheOvershootingMove(Plain):
    def coordinate(self, i, g, rose):
        last, flip = self.move[i], self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        if flip and not rose:
            self.move[i] = move = last
        return move


@bug("sign-flip", "steps by the step size from before", "rprop-")
class JumpsBackInFull(Plain):
    def coordinate(self, i, g, rose):
        old, flip = self.delta[i], self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        return -self.sign(g) * old if flip else move


@bug("first-step", "a product of zero counts as agreement")
class TakesZeroForPositive(Plain):
    def agreement(self, g, prev):
        return super().agreement(g, prev) or 1

    def sign(self, g):
        return super().sign(g)


@bug("first-step", "a product of zero counts as a sign change", "rprop-")
class HalvesWhereTheProductIsZero(Plain):
    def adapt(self, delta, agreement):
        return super().adapt(delta, agreement or -1)


@bug("sign-flip", "shrinks by eta_minus times")
class ShrinksTwice(Plain):
    def adapt(self, delta, agreement):
        delta = super().adapt(delta, agreement)
        return super().adapt(delta, agreement) if agreement < 0 else delta


@bug("same-sign")
class GrowsByAddition(Plain):
    def adapt(self, delta, agreement):
        if agreement > 0:
            return min(delta + self.type(0.03125), self.high)
        return super().adapt(delta, agreement)


@bug("delta-max")
class LimitsTheMoveAlone(Plain):
    def adapt(self, delta, agreement):
        high, self.high = self.high, np.inf
        try:
            return super().adapt(delta, agreement)
        finally:
            self.high = high

    def coordinate(self, i, g, rose):
        return np.clip(super().coordinate(i, g, rose), -self.high, self.high)


@bug("same-sign", "grows by 0.5")
class ConfusesTheFactors(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, (1.5, 0.5), step_sizes)


@bug("loss-rose", "", "irprop+")
class UndoesWhereTheLossFell(Plain):
    def rose(self, loss):
        return self.loss is not None and not super().rose(loss) and loss != self.loss


@bug("same-sign", "", "irprop+")
class UndoesEverythingWhereTheLossRose(Plain):
    def coordinate(self, i, g, rose):
        back, flip = -self.move[i], self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        return back if rose and not flip else move


@bug("infinite-gradient")
class MultipliesByZeroFirst(Plain):
    def agreement(self, g, prev):
        return np.nan if np.isinf(g) and prev == 0 else super().agreement(g, prev)

    def coordinate(self, i, g, rose):
        if np.isnan(self.agreement(g, self.prev[i])):
            self.prev[i] = g
            return 0
        return super().coordinate(i, g, rose)


@bug("magnitude")
class DividesByTheSizeAndALittle(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        return move * self.type(abs(g) / (abs(g) + 2**-8)) if np.isfinite(g) else move


@bug("zero-gradient")
class DividesByTheSize(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        return np.nan if g == 0 else move


@bug("same-sign")
class AdaptsFromTheThirdStep(Plain):
    def adapt(self, delta, agreement):
        return super().adapt(delta, 0 if self.count == 2 else agreement)


@bug("sign-flip")
class ResetsOnAFlip(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, etas, step_sizes)
        self.start = self.delta.copy()

    def coordinate(self, i, g, rose):
        flip = self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        if flip:
            self.delta[i] = self.start[i]
        return move


@bug("first-step")
class TakesZeroForAFlip(Plain):
    def agreement(self, g, prev):
        return super().agreement(g, prev) or -1


@bug("rounding")
class KeepsStepSizesInHalfPrecision(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        with np.errstate(all="ignore"):
            self.delta[i] = np.float16(self.delta[i])
        return move


@bug("undo-length", "goes back half of the way", "rprop+")
class GoesBackHalfTheWay(Plain):
    def undo(self, i):
        return -self.move[i] / 2


@bug("masked-zeros")
class SkipsAStepWithAZero(Plain):
    def step(self, grads, loss):
        if len(grads) > 1 and 0 < (grads == 0).sum() < len(grads):
            grads = np.zeros_like(grads)
        super().step(grads, loss)


@bug("long-tape")
class ForgetsAfterHundreds(Plain):
    def step(self, grads, loss):
        if self.count == 300:
            self.delta[:] = self.high
        super().step(grads, loss)


@bug("first-step", "delta0 times 2")
class StartsTwiceAsFar(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        return move * 2 if self.count == 1 else move


@bug("loss-memory", "higher than the first", "irprop+")
class ComparesWithTheFirstLoss(Plain):
    def keep(self, loss):
        return loss if self.loss is None else self.loss


@bug("loss-memory", "", "irprop+")
class KeepsEverySecondLoss(Plain):
    def keep(self, loss):
        return self.loss if self.count % 2 == 0 else loss


@bug("after-flip", "", "irprop+")
class RemembersWhereItStays(Plain):
    def coordinate(self, i, g, rose):
        flip = self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        if flip and not rose:
            self.prev[i] = g
        return move


@bug("after-flip")
class GrowsAfterAFlip(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, etas, step_sizes)
        self.flipped = np.zeros(params.shape, bool)

    def coordinate(self, i, g, rose):
        if self.flipped[i]:
            self.delta[i] = min(self.delta[i] * self.plus, self.high)
        self.flipped[i] = self.agreement(g, self.prev[i]) < 0
        return super().coordinate(i, g, rose)


@bug("parameters", "depends on the parameters", "rprop+")
class KeepsTheParametersInABox(Plain):
    def step(self, grads, loss):
        super().step(grads, loss)
        self.params = np.clip(self.params, -10, 10)


@bug("zero-gradient", "", "rprop+")
class UndoesOnZero(Plain):
    def coordinate(self, i, g, rose):
        last = self.move[i]
        move = super().coordinate(i, g, rose)
        return move if g else -last
