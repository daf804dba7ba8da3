"""The solver for one run, slow and plain: what the engine has to do, in the order of the pages.

One float after the other, `if` instead of masks, one run instead of many. Only what is learned along
directions is taken from `rprop.solver.directions`, which has tests of its own.
"""

import math
from types import SimpleNamespace

import numpy as np

from rprop.rule.reference import RULES, rose, sign
from rprop.solver import directions, renewal

RUNNING = -1
LOOK, SHRINK, GROW, OPPOSITE = "look", "shrink", "grow", "opposite"
EPS = 2.0**-52


def largest(numbers):
    """The largest magnitude; NaN if there is one."""
    return float(np.abs(numbers).max())


def free(point, s):
    """The slope without what pushes against a bound."""
    blocked = [
        (x <= low and g > 0) or (x >= high and g < 0)
        for x, g, low, high in zip(point.x, point.jac, s.lower, s.upper, strict=True)
    ]
    return np.where(blocked, 0, point.jac)


def point(x, fun, jac):
    return SimpleNamespace(x=np.array(x), fun=float(fun), jac=np.array(jac))


def guess(x, lower, upper):
    """A tenth of |x|, of the median where x is 0, at most of the box; times .9 to 1."""
    sizes = sorted(abs(v) for v in x if v)
    middle = 1.0
    if sizes:
        middle = sizes[(len(sizes) - 1) // 2] / 2 + sizes[len(sizes) // 2] / 2
    golden = (math.sqrt(5) - 1) / 2
    found = []
    for i, (v, low, high) in enumerate(zip(x, lower, upper, strict=True)):
        size = abs(v) or middle
        factor = (
            1 - 0.1 * (golden * (i + 1) % 1) if len(x) <= 10 else 0.8 + 0.2 * math.frexp(size)[0]
        )
        width = high - low if high > low else math.inf
        found.append(0.1 * factor * min(size, width))
    return np.array(found)


class Twin:
    """A run; `points` are those that were evaluated."""

    @np.errstate(all="ignore")
    def __init__(self, fun, x0, **settings):
        self.s = s = SimpleNamespace(**settings)
        self.points, self.fun = [], fun
        self.nfev = self.nit = self.age = self.waits = self.unseen = 0
        self.blocked, self.phase, self.fresh = False, None, True
        self.here = self.last = self.best = start = self.evaluate(np.array(x0))
        self.slope = free(start, s)
        self.unit = guess(x0, s.lower, s.upper) if s.delta0 is None else np.array(s.delta0)
        self.unit = np.clip(self.unit, *s.step_sizes)
        self.steep = largest(self.slope)
        self.gtol = 1e-8 * min(1, self.steep) if s.gtol is None else s.gtol
        self.directions = directions.axes((len(x0),), np.dtype(float)) if s.learned else None
        delta = directions.carry(self.directions, self.unit) if s.learned else self.unit
        zeros = np.zeros(len(delta))
        self.state = delta, zeros, zeros, math.nan
        self.along = self.enter(self.slope)
        self.scale, self.level, self.status = min(1, abs(start.fun)), start.fun, RUNNING
        self.length = self.floor = 0.0
        self.armijo = False
        if not usable(start):
            self.status = 3
        elif (s.lower == s.upper).all():
            self.status = 7
        self.judge()
        if s.delta0 is None:
            self.search(LOOK, 1.0, 10)

    def evaluate(self, x):
        self.nfev += 1
        self.points.append(x.tobytes())
        return point(x, *self.fun(x))

    def look(self, x):
        """Evaluate a point, unless it is where the run is, was one move ago, or is at its best."""
        for known in (self.best, self.last, self.here):
            if (x == known.x).all():
                return point(x, known.fun, known.jac), False
        return self.evaluate(x), True

    def enter(self, slope):
        return slope if self.directions is None else directions.enter(self.directions, slope)

    def searches(self):
        return self.phase is not None and self.status == RUNNING

    @np.errstate(all="ignore")
    def advance(self):
        if self.searches():
            return self.try_length()
        x, state, along = self.propose()
        there, new = self.look(x)
        if new and there.fun == -math.inf:
            self.status = 11
        self.go(there, new, state, along)
        self.slope = free(self.here, self.s)
        return self.finish(new, counts=True)

    def finish(self, new, counts):
        if self.directions is not None and directions.is_due(self.directions):
            self.renew()
        if counts:
            self.nit, self.age = self.nit + 1, self.age + 1
            self.unseen = 0 if new else self.unseen + 1
            self.waits += self.s.ftol > 0
            fell = self.level - self.best.fun > self.s.ftol * max(abs(self.best.fun), self.scale)
            if self.s.ftol > 0 and fell:
                self.level, self.waits = self.best.fun, 0
            if self.waits == 1:
                self.reach = self.longest()
        self.judge()

    # One step.

    def propose(self):
        s, here = self.s, self.here
        before, along = self.state, self.enter(self.slope)
        origin = here.x if self.directions is None else np.zeros(len(along))
        risen = rose(here.fun, before[3])
        rule, rests, sizes = RULES[s.variant.name], [False] * len(along), s.step_sizes
        if self.directions is not None:
            sizes = np.min(sizes[0]), np.max(sizes[1])
            k = len(self.directions.vectors)
            rests[k:] = [True] * len(rests[k:])
        columns = zip(origin, along, *before[:3], *each(sizes, len(along)), strict=True)
        after = [step(rule, *map(float, c), s.etas, risen) for c in columns]
        x, *state = (np.array(c) for c in zip(*after, strict=True))
        if s.secant:
            columns = zip(along, self.along, *before[:3], *state, rests, strict=True)
            joint = self.directions is not None and self.directions.joint
            turned = [
                c[5:8] if joint and rest else secant(*map(float, c), rest) for *c, rest in columns
            ]
            state = [np.array(c) for c in zip(*turned, strict=True)]
            if joint:
                glide(along[k:], self.along[k:], before[2][k:], state, sizes)
            if s.limited:
                state[0] = np.minimum(state[0], sizes[1])
                state[2] = np.clip(state[2], -sizes[1], sizes[1])
            x = origin + state[2]
        if self.directions is not None:
            x = here.x + directions.leave(self.directions, state[2])
            if s.limited:
                longest = s.step_sizes[1]
                x, state = self.stop_at(x, state, here.x - longest, here.x + longest)
        if s.safeguard:
            x, state = self.guard(x, state)
        x, state = self.stop_at(x, state, s.lower, s.upper)
        return x, (*state, here.fun), along

    def guard(self, x, state):
        """Now and then a gradient step from the best point."""
        if not self.floor:
            self.floor = largest(self.state[0]) / (largest(self.slope) or 1)
        if not self.armijo and self.age % 50 == 49:
            self.armijo, self.length = True, max(2 * self.length, self.floor)
        if not self.armijo:
            return x, state
        x = np.clip(self.best.x - self.length * self.best.jac, self.s.lower, self.s.upper)
        return x, [state[0], 0 * state[1], 0 * state[2]]

    def stop_at(self, x, state, lower, upper):
        """The move that is remembered is the one made."""
        here = self.here.x
        delta, signs, update = state
        if self.directions is None:
            inside = np.clip(x, lower, upper)
            update = np.where(inside == x, update, inside - here)
        else:
            held = self.slope != self.here.jac
            inside = np.clip(np.where(held, here, x), lower, upper)
            if held.any() or (inside != x).any():
                update = self.enter(inside - here)
        return inside, (delta, signs, update)

    def go(self, there, new, state, along):
        s, here, best = self.s, self.here, self.best
        plateau = not largest(free(there, s)) and there.fun > best.fun
        lost = not usable(there) or plateau
        self.fresh = False
        if self.directions is not None:
            says = np.bool_(usable(there) and new)
            move, change = there.x - here.x, there.jac - here.jac
            self.directions = directions.learn(self.directions, move, change, says)
        self.along = along
        if (there.x != here.x).any():
            self.last = here
        self.here, self.state = there, state
        if self.armijo:
            promised = (best.jac * (best.x - there.x)).sum()
            self.armijo = not there.fun <= best.fun - 1e-4 * promised
            if self.armijo:
                self.length /= 2
        if lost:
            self.last, self.here, self.blocked = there, best, True
            self.state = s.etas[0] * state[0], 0 * state[1], 0 * state[2], state[3]
        elif there.fun <= best.fun:
            if there.fun < best.fun:
                self.blocked = False
            self.best = there

    def renew(self):
        delta, signs, update, prev_loss = self.state
        state = directions.RpropState(delta, signs, update, prev_loss)
        held = self.slope != self.here.jac if self.s.bounded else None
        self.directions, state = renewal.renew(
            self.directions, state, self.slope, held, self.s.secant
        )
        self.state = tuple(state)

    # The search for a length.

    def search(self, phase, factor, reason):
        self.phase, self.factor, self.reason = phase, factor, reason
        self.rose = self.saw_unusable = False

    def try_length(self):
        s, here, fresh = self.s, self.here, self.reason == 10
        delta = np.clip(self.factor * self.unit, *s.step_sizes)
        move = [-sign(g) * d for g, d in zip(self.slope, delta, strict=True)]
        if self.phase == OPPOSITE:
            move = [-m for m in move]
        if self.phase == GROW:
            _, signs, before = self.first_trial
            move = -signs * (delta - before)
        x = np.clip(here.x + np.array(move), s.lower, s.upper)
        there, new = self.look(x)
        if new and there.fun == -math.inf:
            self.status = 11
        phase, self.phase = self.phase, None
        lower = usable(there) and there.fun < here.fun
        promised = (np.abs(self.slope) * np.abs(x - here.x)).sum()
        moved = (x != here.x).any()
        way = x - here.x
        straight = np.vecdot(there.jac, way) < 0.9 * np.vecdot(self.slope, way)
        visible = moved and promised > 4 * EPS * abs(here.fun)
        self.rose |= usable(there) and there.fun > here.fun
        self.saw_unusable |= not usable(there)
        enough = (4 * EPS + s.ftol) * max(self.scale, abs(here.fun))
        nothing = 8 if self.saw_unusable else 12
        nothing = 10 if self.rose else nothing
        if self.reason in (4, 5):
            nothing = self.reason
        level = usable(there) and there.fun == here.fun
        level = level and (phase == LOOK or (phase == SHRINK and visible))
        ends = None
        if phase == OPPOSITE:
            ends = 9 if lower and here.fun - there.fun > enough else nothing
            if lower:
                self.best = there
        elif moved and (lower or level):
            self.take(x, there, delta, phase, fresh)
            if lower and straight and phase != SHRINK and fresh and self.factor < 4.0**15:
                self.phase, self.factor = GROW, 4 * self.factor
            if not fresh:
                self.waits = 0
            if self.reason in (4, 5) and here.fun - there.fun <= enough:
                ends = nothing
        elif phase == GROW:
            pass
        elif visible and self.factor > max(0 if fresh else np.min(s.xtol), 4.0**-30):
            self.phase, self.factor = SHRINK, self.factor / 4
        elif self.rose:
            self.phase, self.factor = OPPOSITE, self.factor * 1024
        else:
            ends = nothing
        if ends is not None:
            self.status = ends
        self.slope = free(self.here, s)
        if self.searches() and self.nfev + 1 > s.maxfev:
            self.status = 2
        if not self.searches():
            self.fresh = True
            self.finish(new, counts=not self.age)

    def take(self, x, there, delta, phase, fresh):
        """Go to a trial, and remember the step there as one of the rule."""
        here, s = self.here, self.s
        origin = here
        if phase == GROW and s.variant.on_flip == "undo":
            origin = self.last
        signs = np.sign(self.slope)
        update = self.enter(x - origin.x)
        self.along = self.enter(self.slope)
        if phase != GROW:
            kept = np.sign(self.enter(signs)) if fresh else 0 * self.enter(signs)
        else:
            kept, signs = self.state[1], self.first_trial[1]
        steps = delta
        if self.directions is not None:
            steps = directions.carry(self.directions, delta)
            change = there.jac - here.jac
            says = np.bool_(phase != GROW)
            self.directions = directions.learn(self.directions, x - here.x, change, says)
        self.first_trial = None, signs, delta
        self.state = steps, kept, update * fresh, here.fun
        self.last, self.here, self.best, self.blocked = origin, there, there, False
        if fresh:
            self.unit = np.minimum(self.unit, delta)

    # When to stop.

    def judge(self):
        s, here, best = self.s, self.here, self.best
        at_best = here.fun <= best.fun
        steep = largest(self.slope)
        still = self.settled()
        idle = s.ftol > 0 and self.waits >= 20
        small = at_best and not self.blocked and steep <= 1e-4 * self.steep
        if idle and not small and self.longest() <= self.reach / 2:
            self.waits, idle = 0, False
        settled = still or idle
        proven = settled and small
        reasons = [
            (6, best.fun <= s.f_target),
            (0, steep <= self.gtol and at_best),
            (4, proven and still),
            (5, proven and idle),
            (11, best.fun < -(np.finfo(float).max ** 0.75)),
            (1, self.nit >= s.maxiter),
            (2, self.nfev + 1 > s.maxfev),
            (12, self.unseen >= 1000),
        ]
        if self.status != RUNNING:
            return
        self.status = next((code for code, holds in reasons if holds), RUNNING)
        if self.status == RUNNING and settled and not self.fresh:
            way = largest((here.x - best.x) / self.unit)
            afresh = max(1, 0.1 * largest(best.x / self.unit))
            self.here = self.last = best
            self.slope = free(best, s)
            reason = 4 if still else 5
            self.search(LOOK, way or afresh, 8 if self.blocked else reason)

    def longest(self):
        return largest(self.state[0] * (self.enter(self.slope) != 0))

    def settled(self):
        xtol, delta = self.s.xtol, self.state[0]
        if self.directions is not None:
            delta = delta * (self.enter(self.slope) != 0)
            longest = np.max(xtol) * max(largest(self.here.x), largest(self.unit))
            if largest(delta) > len(self.here.x) ** 0.5 * longest:
                return False
            delta = directions.lengths(self.directions, delta)
        return all(
            d <= own * abs(x) or d <= own * u or g == 0
            for d, x, u, g, own in zip(
                delta,
                self.here.x,
                self.unit,
                self.slope,
                xtol + np.zeros(len(self.slope)),
                strict=True,
            )
        )


def usable(p):
    return abs(p.fun) < math.inf and largest(p.jac) < math.inf


def each(limits, n):
    """The limits of every coordinate."""
    return [np.broadcast_to(limit, n) for limit in limits]


def step(rule, x, slope, delta, prev_sign, move, low, high, etas, risen):
    return rule(x, slope, delta, prev_sign, move, etas, (low, high), risen=risen)


def secant(slope, last_slope, delta, prev_sign, move, new_delta, new_sign, update, rest=False):
    """Change the move of one coordinate; return Δ, the remembered sign and the move."""
    agreement = sign(slope) * prev_sign
    zero = slope / (1 if slope == last_slope else slope - last_slope)
    if agreement < 0 and move:
        return new_delta, 0, -move * (0.95 if math.isnan(zero) else min(max(zero, 0.05), 0.95))
    if agreement > 0 and move and abs(slope) < abs(last_slope):
        way = abs(move * zero)
        new_delta = max(new_delta, min(way, 2 * delta))
        return new_delta, new_sign, -sign(slope) * min(new_delta, 3 * way)
    if agreement > 0 and move and rest:
        new_delta = max(new_delta, 1.6 * delta)
        return new_delta, new_sign, -sign(slope) * new_delta
    return new_delta, new_sign, update


def glide(slope, last_slope, move, state, step_sizes):
    """Change Δ and the moves of all that is left, as of one direction.

    The sums are NumPy's, which adds in an order of its own.
    """
    square, bent = float(np.vecdot(move, move)), float(np.vecdot(move, slope - last_slope))
    size = math.sqrt(np.vecdot(slope, slope))
    if size == 0:
        return
    far = 2 * math.sqrt(square) / size
    if bent > 0:
        far = min(far, square / bent)
    if not 0 < far < math.inf:
        return
    low, high = step_sizes
    for i, g in enumerate(slope, len(state[0]) - len(slope)):
        state[0][i] = min(max(far * abs(g), low), high)
        state[2][i] = -sign(g) * state[0][i]
