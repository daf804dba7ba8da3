"""Whatever partitions and maps do, again and again: the exact sum of this evaluation, or an error that says why."""

import re

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rprop import PartitionError, sum_over

N = 2
HUGE = np.finfo(float).max


class Tensor:
    """Like a tensor that requires a gradient."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("detach it first")


#: What `part_fun` may return in place of its loss and gradient.
USABLE = {
    "nan": lambda f, g: (np.nan, g), "inf": lambda f, g: (np.inf, -np.inf * np.ones(N)),
    "-inf": lambda f, g: (-np.inf, np.inf * np.ones(N)), "huge": lambda f, g: (HUGE, HUGE + 0 * g),
    "list": lambda f, g: (int(f), g.tolist()), "one number": lambda f, g: (np.array([f]), g),
    "float32": lambda f, g: (np.float32(f), g.astype(np.float32)),
    "longdouble": lambda f, g: (f, g.astype(np.longdouble) + np.longdouble(2) ** -60),
    "whole": lambda f, g: (f > 0, g.astype(np.int8)), "minus zero": lambda f, g: (-0.0, -0.0 * g),
}  # fmt: skip
WRONG = {
    "nothing": lambda f, g: None, "loss alone": lambda f, g: f, "three": lambda f, g: (f, g, g),
    "short": lambda f, g: (f, g[1:]), "one row": lambda f, g: (f, g[None]), "complex": lambda f, g: (f, g + 1j),
    "complex loss": lambda f, g: (1j, g), "word": lambda f, g: ("1.5", g), "objects": lambda f, g: (f, g.astype(object)),
    "ragged": lambda f, g: (f, [[1.0], [1.0, 2.0]]), "two losses": lambda f, g: ([f, f], g),
    "beyond floats": lambda f, g: (10**400, g), "tensor": lambda f, g: (f, Tensor()),
    "dict": lambda f, g: {"loss": f, "gradient": g}, "later": lambda f, g: (part for part in (f, g, g)),
}  # fmt: skip
RAISED = [OSError, StopIteration, PartitionError, SystemExit, MemoryError, KeyboardInterrupt]
JUNK = [None, 1.0, (0, 1.0, np.zeros(N)), "0", [], ValueError("a result")]

deeds = st.one_of(
    st.just(None), st.sampled_from(list(USABLE)), st.sampled_from(list(WRONG)), st.sampled_from(RAISED)
)  # fmt: skip
fine = st.one_of(st.just(None), st.sampled_from(list(USABLE)))
#: What a map does to the results that it has: which, and what.
slips = st.tuples(
    st.sampled_from(["lose", "double", "late", "foreign", "junk", "swap"]), st.integers(0, 9)
)


class Sums(RuleBasedStateMachine):
    """One sum, called again and again; the map remembers all results that it ever had."""

    @initialize(count=st.integers(1, 5), gives=st.sampled_from([list, iter, tuple]))
    def begin(self, count, gives):
        self.gives = gives
        self.parts = [np.array([k + 1.0, -k / 3]) for k in range(count)]
        for part in self.parts:
            part.setflags(write=False)
        self.fun = sum_over(self.part_fun, self.parts, self.map)
        self.buffer = np.zeros(N)  # every partition is evaluated into it
        self.old, self.plan = [], []
        self.deeds, self.told = {}, {}

    def part_fun(self, x, part, factor):
        number = int(part[0]) - 1
        np.multiply(factor * part, x, out=self.buffer)
        value = float(part @ x), self.buffer
        deed = self.deeds.get(number)
        if isinstance(deed, type):
            raise deed(f"in {number}")
        if deed is not None:
            value = {**USABLE, **WRONG}[deed](*value)
        if deed is None or deed in USABLE:
            self.told[number] = float(np.ravel(value[0])[0]), np.array(value[1])
        return value

    def map(self, task, items):
        assert [number for number, _ in items] == list(range(len(self.parts)))
        results = [task(item) for item in items]
        fresh, late = list(results), list(self.old)
        self.old += results
        for what, which in self.plan:
            if what == "lose" and fresh:
                fresh.pop(which % len(fresh))
            elif what == "double" and fresh:
                fresh.append(fresh[which % len(fresh)])
            elif what == "late" and late:
                fresh.insert(which % (len(fresh) + 1), late[which % len(late)])
            elif what == "foreign":
                fresh.append(task((len(items) + which, items[0][1])))
            elif what == "junk":
                fresh.insert(which % (len(fresh) + 1), JUNK[which % len(JUNK)])
            elif what == "swap" and fresh:
                fresh.insert(0, fresh.pop(which % len(fresh)))
        self.whole = len(fresh) == len(results) and {*map(id, fresh)} == {*map(id, results)}
        return self.gives(fresh)

    def call(self, deeds, plan):
        """Evaluate, and hold the answer or the error against what was done."""
        self.deeds = {k: deed for k, deed in enumerate(deeds[: len(self.parts)]) if deed}
        self.plan, self.told = plan, {}
        x, answer, error = np.array([1.5, -0.5]), None, None
        try:
            answer = self.fun(x, 2.0)
        except (PartitionError, ValueError, KeyboardInterrupt) as raised:
            error = raised
        np.testing.assert_array_equal(x, [1.5, -0.5])
        assert x.flags.writeable
        bad = [number for number, deed in self.deeds.items() if deed not in USABLE]
        if bad:
            self.hold_against(error, bad[0], self.deeds[bad[0]])
        elif self.whole:
            assert error is None
            self.hold(*answer)
        else:
            assert type(error) is ValueError
            assert re.match("map must return (.|\n)*; got ", str(error))

    def hold_against(self, error, number, deed):
        """Hold an error against the first that went wrong."""
        if deed is KeyboardInterrupt:
            assert type(error) is KeyboardInterrupt
        elif deed in WRONG:
            assert type(error) is ValueError
            assert re.match("part_fun must return (.|\n)*; got ", str(error))
            assert str(error).endswith(f" from partition {number}")
        else:
            assert type(error) is PartitionError
            assert str(error).startswith(f"partition {number} raised {deed.__name__}(")

    def hold(self, loss, gradient):
        """Hold a sum against what was returned, added in order."""
        told = [self.told[number] for number in range(len(self.parts))]
        kinds = [np.dtype(float), *(part.dtype for _, part in told)]
        assert gradient.dtype == max(kinds, key=lambda kind: kind.itemsize)
        right = 0.0, np.zeros(N, gradient.dtype)
        with np.errstate(all="ignore"):
            for part in told:
                right = right[0] + part[0], right[1] + part[1]
        assert type(loss) is float
        np.testing.assert_array_equal(loss, right[0])
        np.testing.assert_array_equal(gradient, right[1])
        gradient[:] = np.nan  # it is the caller's

    @rule(
        deeds=st.lists(fine, min_size=5, max_size=5), which=st.lists(st.integers(0, 9), max_size=3)
    )
    def all_is_well(self, deeds, which):
        self.call(deeds, [("swap", index) for index in which])
        assert self.whole

    @rule(deeds=st.lists(deeds, min_size=5, max_size=5))
    def partitions_go_wrong(self, deeds):
        self.call(deeds, [])

    @rule(
        deeds=st.lists(fine, min_size=5, max_size=5), plan=st.lists(slips, min_size=1, max_size=4)
    )
    def results_go_astray(self, deeds, plan):
        self.call(deeds, plan)

    @rule(given=st.sampled_from([None, 3, object()]))
    def nothing_comes_back(self, given):
        self.deeds, self.plan = {}, []
        gives, self.gives = self.gives, lambda results: given
        with pytest.raises(
            ValueError, match="map must return the results of its calls, in an iter"
        ):
            self.fun(np.ones(N), 1.0)
        self.gives = gives

    @invariant()
    def partitions_are_as_they_were(self):
        for number, part in enumerate(getattr(self, "parts", ())):
            np.testing.assert_array_equal(part, [number + 1.0, -number / 3])


TestSums = Sums.TestCase
TestSums.settings = settings(max_examples=settings().max_examples // 3)
