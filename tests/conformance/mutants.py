"""Rprop written again, plainly and from the papers, and the bugs that people put into it."""

import numpy as np


class Plain:
    """One coordinate after the other; the methods are the places where one can go wrong."""

    variant = "irprop-"

    def __init__(self, params, delta0, etas, step_sizes):
        self.params, self.type = params, params.dtype.type
        wide = np.float32 if params.dtype == np.float16 else self.type
        self.minus, self.plus = etas
        self.low, self.high = map(wide, step_sizes)
        self.delta = np.full(params.shape, wide(delta0))
        self.prev = np.zeros(params.shape)  # the remembered sign, or gradient
        self.move = np.zeros(params.shape, wide)
        self.loss, self.count = None, 0

    def step(self, grads, loss):
        self.count += 1
        rose = self.rose(loss)
        params = self.params.copy()
        for i, g in enumerate(grads):
            params[i] += self.coordinate(i, g, rose)
        self.params = params
        self.loss = self.keep(loss)

    def rose(self, loss):
        return self.loss is not None and (loss > self.loss or np.isnan(loss))

    def keep(self, loss):
        return loss

    def agreement(self, g, prev):
        return self.sign(g) * self.sign(prev)

    def sign(self, g):
        return int(g > 0) - int(g < 0)

    def adapt(self, delta, agreement):
        if agreement > 0:
            delta = delta * self.plus
        if agreement < 0:
            delta = delta * self.minus
        return min(max(delta, self.low), self.high)

    def coordinate(self, i, g, rose):
        agreement = self.agreement(g, self.prev[i])
        self.delta[i] = self.adapt(self.delta[i], agreement)
        self.prev[i] = g
        if agreement < 0 and self.variant != "rprop-":
            self.prev[i] = 0
            back = self.variant == "rprop+" or (self.variant == "irprop+" and rose)
            self.move[i] = self.undo(i) if back else 0
        else:
            self.move[i] = -self.sign(g) * self.delta[i]
        return self.move[i]

    def undo(self, i):
        return -self.move[i]


MUTANTS = []
TOLERATED = []  # where the papers are silent


def mutant(flag, variant="irprop-", mutants=MUTANTS):
    """Register a bug with the flag it has to fail on."""

    def register(cls):
        cls.variant = variant
        mutants.append((cls, variant, flag))
        return cls

    return register


@mutant("first-step")
class AdaptsAtOnce(Plain):
    def adapt(self, delta, agreement):
        return super().adapt(delta, 1 if self.count == 1 else agreement)


@mutant("stale-update")
class OneStepLate(Plain):
    late = 0.0

    def step(self, grads, loss):
        before = self.params
        super().step(grads, loss)
        now, self.params = self.params - before, before + self.late
        self.late = now


@mutant("same-sign")
class MovesBeforeItAdapts(Plain):
    def coordinate(self, i, g, rose):
        old = self.delta[i]
        move = super().coordinate(i, g, rose)
        return np.sign(move) * old


@mutant("same-sign")
class GrowsTooMuch(Plain):
    def adapt(self, delta, agreement):
        return super().adapt(delta * (1.1 if agreement > 0 else 1), agreement)


@mutant("sign-flip")
class StepsOnAFlip(Plain):
    def coordinate(self, i, g, rose):
        agreement = self.agreement(g, self.prev[i])
        move = super().coordinate(i, g, rose)
        return -self.sign(g) * self.delta[i] if agreement < 0 else move


@mutant("sign-flip")
class NeverShrinks(Plain):
    def adapt(self, delta, agreement):
        return super().adapt(delta, max(agreement, 0))


@mutant("sign-flip", "rprop+")
class StaysInsteadOfGoingBack(Plain):
    def undo(self, i):
        return 0


@mutant("sign-flip", "rprop-")
class ForgetsToStep(Plain):
    def coordinate(self, i, g, rose):
        flip = self.agreement(g, self.prev[i]) < 0
        return super().coordinate(i, g, rose) * (0 if flip else 1)


@mutant("after-flip")
class RemembersTheFlip(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        self.prev[i] = g
        return move


@mutant("after-flip", "rprop-")
class ForgetsTheFlip(Plain):
    def coordinate(self, i, g, rose):
        flip = self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        self.prev[i] = 0 if flip else g
        return move


@mutant("zero-gradient")
class ZeroIsPositive(Plain):
    def sign(self, g):
        return 1 if g >= 0 else -int(g < 0)

    def agreement(self, g, prev):
        return int(np.sign(np.nan_to_num(g)) * np.sign(np.nan_to_num(prev)))


@mutant("zero-gradient")
class Coasts(Plain):
    def coordinate(self, i, g, rose):
        last = self.move[i]
        move = super().coordinate(i, g, rose)
        if g == 0:
            self.move[i] = last
        return self.move[i] if g == 0 else move


@mutant("zero-gradient")
class ShrinksOnZero(Plain):
    def adapt(self, delta, agreement):
        return super().adapt(delta, -1 if agreement == 0 and self.count > 1 else agreement)


@mutant("after-zero")
class RemembersThroughZero(Plain):
    def coordinate(self, i, g, rose):
        before = self.prev[i]
        move = super().coordinate(i, g, rose)
        if g == 0:
            self.prev[i] = before
        return move


@mutant("signed-zero")
class MinusZeroIsNegative(Plain):
    def sign(self, g):
        return -1 if g == 0 and np.signbit(g) else super().sign(g)


@mutant("magnitude")
class StepsByTheGradient(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        return move * min(1, abs(g) * 100)


@mutant("product-underflow")
class MultipliesGradients(Plain):
    def agreement(self, g, prev):
        with np.errstate(all="ignore"):
            return int(np.nan_to_num(np.sign(self.type(g) * self.type(prev))))


@mutant("product-overflow")
class DividesByTheProduct(Plain):
    def agreement(self, g, prev):
        with np.errstate(all="ignore"):
            product = self.type(g) * self.type(prev)
            both = np.isfinite(g) and np.isfinite(prev)
            return 0 if both and np.isinf(product) else super().agreement(g, prev)


@mutant("delta-min")
class NoLowerLimit(Plain):
    def adapt(self, delta, agreement):
        low, self.low = self.low, 0 if self.count > 1 else self.low
        try:
            return super().adapt(delta, agreement)
        finally:
            self.low = low


@mutant("delta-max")
class NoUpperLimit(Plain):
    def adapt(self, delta, agreement):
        high, self.high = self.high, np.inf if self.count > 1 else self.high
        try:
            return super().adapt(delta, agreement)
        finally:
            self.high = high


@mutant("loss-rose", "irprop+")
class IgnoresTheLoss(Plain):
    def rose(self, loss):
        return False


@mutant("loss-fell", "irprop+")
class AlwaysGoesBack(Plain):
    def rose(self, loss):
        return True


@mutant("loss-equal", "irprop+")
class EqualIsARise(Plain):
    def rose(self, loss):
        return self.loss is not None and not loss < self.loss


@mutant("loss-memory", "irprop+")
class ComparesWithTheBest(Plain):
    def keep(self, loss):
        return loss if self.loss is None else min(self.loss, loss)


@mutant("loss-memory", "irprop+")
class ComparesWithAnOldLoss(Plain):
    older = None

    def keep(self, loss):
        older, self.older = self.older, loss
        return older


@mutant("undo-after-undo", "rprop+")
class GoesBackTwice(Plain):
    def coordinate(self, i, g, rose):
        flip = self.agreement(g, self.prev[i]) < 0
        move = super().coordinate(i, g, rose)
        if flip:
            self.prev[i] = g
        return move


@mutant("undo-length", "rprop+")
class GoesBackByDelta(Plain):
    def undo(self, i):
        return -np.sign(self.move[i]) * self.delta[i]


@mutant("infinite-gradient")
class InfinityHasNoSign(Plain):
    def sign(self, g):
        return 0 if np.isinf(g) else super().sign(g)


@mutant("rounding")
class DoublePrecisionState(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, etas, step_sizes)
        self.low, self.high = step_sizes
        self.delta = np.full(params.shape, delta0)
        self.move = np.zeros(params.shape)


@mutant("long-tape")
class LosesItsState(Plain):
    def step(self, grads, loss):
        if self.count % 100 == 99:
            self.prev[:] = 0
        super().step(grads, loss)


@mutant("rounding")
class SinglePrecisionInside(Plain):
    def __init__(self, params, delta0, etas, step_sizes):
        super().__init__(params, delta0, etas, step_sizes)
        self.delta = self.delta.astype(np.float32)


@mutant("shape-dtype")
class WidensParams(Plain):
    def step(self, grads, loss):
        self.params = self.params.astype(self.type)
        super().step(grads, loss)
        self.params = self.params.astype(float)


@mutant("gradient-changed")
class ClearsFlippedGradients(Plain):
    def step(self, grads, loss):
        super().step(grads, loss)
        grads[self.prev == 0] = 0


@mutant("magnitude")
class HasADeadZone(Plain):
    def sign(self, g):
        return 0 if abs(g) < 1e-3 else super().sign(g)


@mutant("loss-rose", "irprop+")
class WantsARiseOfAPercent(Plain):
    def rose(self, loss):
        return self.loss is not None and loss > 1.01 * self.loss


@mutant("loss-memory", "irprop+")
class KeepsTheLossOnAFlip(Plain):
    def step(self, grads, loss):
        before, flipped = self.loss, (np.sign(grads) * np.sign(self.prev) < 0).any()
        super().step(grads, loss)
        self.loss = before if flipped else loss


@mutant("undo-length", "rprop+")
class GoesBackTooFar(Plain):
    def undo(self, i):
        return -2 * self.move[i]


@mutant("undo-after-undo", "rprop+")
class RemembersTheUndo(Plain):
    def coordinate(self, i, g, rose):
        move = super().coordinate(i, g, rose)
        self.prev[i] = -np.sign(move)
        return move


@mutant("many-coordinates")
class LeavesOutTheTail(Plain):
    def coordinate(self, i, g, rose):
        whole = len(self.params) // 8 * 8
        return 0 if i >= whole > 0 else super().coordinate(i, g, rose)


@mutant("many-coordinates")
class OneFlipForAll(Plain):
    def step(self, grads, loss):
        pairs = zip(grads, self.prev, strict=True)
        self.flip = any(self.sign(g) * self.sign(p) < 0 for g, p in pairs)
        super().step(grads, loss)

    def adapt(self, delta, agreement):
        return super().adapt(delta, -1 if self.flip else agreement)


@mutant("many-coordinates")
class OneStepSizeForAll(Plain):
    def step(self, grads, loss):
        super().step(grads, loss)
        self.delta[:] = self.delta.max()


@mutant("masked-zeros")
class AZeroStopsAll(Plain):
    def step(self, grads, loss):
        if len(grads) < 10 and (grads == 0).any() and not (grads == 0).all():
            grads = np.where(self.count % 2, grads, 0)
        super().step(grads, loss)


@mutant("reused-array", "rprop-", TOLERATED)
class RemembersTheArray(Plain):
    def step(self, grads, loss):
        super().step(grads, loss)
        self.prev = grads


@mutant("subnormal-gradient", mutants=TOLERATED)
class FlushesToZero(Plain):
    def sign(self, g):
        return 0 if abs(g) < np.finfo(self.type).tiny else super().sign(g)


@mutant("nan-gradient", mutants=TOLERATED)
class NotANumberIsPositive(Plain):
    def sign(self, g):
        return 1 if np.isnan(g) else super().sign(g)


@mutant("loss-nan", "irprop+", TOLERATED)
class NotANumberIsNoRise(Plain):
    def rose(self, loss):
        return self.loss is not None and loss > self.loss


@mutant("delta0-range", mutants=TOLERATED)
class NoLimitsAtFirst(Plain):
    def adapt(self, delta, agreement):
        return delta if self.count == 1 else super().adapt(delta, agreement)


@mutant("rounding", "rprop+", TOLERATED)
class PutsTheSavedParamsBack(Plain):
    def step(self, grads, loss):
        before = self.params
        flips = [self.agreement(g, p) < 0 for g, p in zip(grads, self.prev, strict=True)]
        super().step(grads, loss)
        self.params = np.where(flips, getattr(self, "saved", before), self.params)
        self.saved = before


def hidden(mutant):
    """Return the same stepper without its step sizes."""

    class Hidden:
        def __init__(self, *settings):
            self.inner = mutant(*settings)
            self.step = self.inner.step

        @property
        def params(self):
            return self.inner.params

    return Hidden
