"""Steps of every kind in any order: after each, params and state are those of the scalar rules."""

import pickle

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rprop import VARIANTS, RpropState, rprop_init, rprop_step
from rprop.rule.reference import RULES, rose
from tests.strategies import GRADIENTS, bits, etas, losses, step_sizes, variants

STATE = {np.float16: np.float32}


class Steps(RuleBasedStateMachine):
    """A batch of `rows` problems of `n` coordinates, and the same one coordinate at a time."""

    @initialize(
        dtype=st.sampled_from([np.float16, np.float32, np.float64, np.longdouble]),
        rows=st.sampled_from([None, 1, 3]),
        n=st.integers(1, 3),
        seed=st.integers(0, 999),
    )
    def begin(self, dtype, rows, n, seed):
        rng = np.random.default_rng(seed)
        self.shape = (n,) if rows is None else (rows, n)
        self.params = rng.choice([-0.0, 1.5, -3.0, 0.1], self.shape).astype(dtype)
        delta0 = rng.choice([0.1, 0.7, 4.0], n)
        self.state = rprop_init(self.params, delta0)
        self.of_state = STATE.get(dtype, dtype)
        self.w = list(self.params.ravel())
        sizes = np.broadcast_to(delta0.astype(self.of_state), self.shape).ravel()
        self.own = [(size, 0, self.of_state(0)) for size in sizes]
        self.prev = np.full(self.shape[:-1], np.nan)

    def arrays(self, data, elements, shape):
        size = int(np.prod(shape))
        return np.reshape(data.draw(st.lists(elements, min_size=size, max_size=size)), shape)

    @rule(
        data=st.data(),
        name=variants,
        pair=etas,
        limits=step_sizes,
        form=st.sampled_from(["scalar", "array", "one of them"]),
        masked=st.booleans(),
        into=st.sampled_from([None, "fresh", "in place", "params alone"]),
        given=st.sampled_from(["all", "one", "none"]),
        wide=st.booleans(),
    )
    def step(self, data, name, pair, limits, form, masked, into, given, wide):
        if given == "none" and VARIANTS[name].needs_loss:
            given = "all"
        shape = self.shape
        grads = self.arrays(data, GRADIENTS, shape)
        grads = grads if wide else np.sign(grads).astype(self.params.dtype)
        loss = None if given == "none" else data.draw(losses)
        if given == "all":
            loss = self.arrays(data, losses, shape[:-1])
        where = self.arrays(data, st.booleans(), shape[-1:]) if masked else True
        low, high = limits
        if form != "scalar":
            low = np.full(shape[-1], low)
        if form == "array":
            high = np.full(shape, high)
        out = None
        if into == "fresh":
            out = np.full_like(self.params, 9), RpropState(*map(np.full_like, self.state, [7] * 4))
        elif into is not None:
            kept = self.state if into == "in place" else RpropState(*map(np.copy, self.state))
            out = self.params, kept
        self.params, self.state = rprop_step(
            self.params, grads, self.state, pair, (low, high),
            variant=name, loss=loss, where=where, out=out,
        )  # fmt: skip
        if out is not None:
            assert self.params is out[0]
            assert all(a is b for a, b in zip(self.state, out[1], strict=True))
        self.follow(name, grads, pair, limits, loss, where)

    def follow(self, name, grads, pair, limits, loss, where):
        """Take the same step in the scalar rules."""
        now = np.broadcast_to(np.nan if loss is None else loss, self.shape[:-1])
        moved = np.broadcast_to(where, self.shape)
        for k, at in enumerate(np.ndindex(self.shape)):
            if moved[at]:
                risen = rose(now[at[:-1]], self.prev[at[:-1]])
                w, *own = RULES[name](
                    self.of_state(self.w[k]), grads[at], *self.own[k], pair,
                    tuple(map(self.of_state, limits)), risen=risen,
                )  # fmt: skip
                self.w[k], self.own[k] = self.params.dtype.type(w), tuple(own)
        self.prev = np.where(moved.any(axis=-1), now, self.prev)

    @rule()
    def pickled(self):
        self.params, self.state = pickle.loads(pickle.dumps((self.params, self.state)))

    @rule()
    def read_only(self):
        self.params, *state = (np.array(a) for a in (self.params, *self.state))
        self.state = RpropState(*state)
        before = bits(self.params, *self.state)
        for array in (self.params, *self.state):
            array.setflags(write=False)
        rprop_step(self.params, np.ones(self.shape), self.state, variant="rprop+")
        assert bits(self.params, *self.state) == before
        self.params, *state = (np.array(a) for a in (self.params, *self.state))
        self.state = RpropState(*state)

    @rule(swap=st.sampled_from(["big-endian", "Fortran", "lists"]))
    def another_form(self, swap):
        """What holds the numbers is not what they are."""
        form = {
            "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
            "Fortran": lambda a: a.copy("F"),
            "lists": lambda a: a.tolist() if a.dtype in (float, np.int8) else a,
        }[swap]
        state = RpropState(*map(form, self.state))
        found = rprop_step(form(self.params), np.ones(self.shape), state)
        expected = rprop_step(self.params, np.ones(self.shape), self.state)
        if self.params.dtype != np.longdouble:
            assert bits(*found) == bits(*expected)

    @invariant()
    def as_the_scalar_rules_have_it(self):
        if not hasattr(self, "w"):
            return
        delta, sign, update = zip(*self.own, strict=True)
        expected = (
            np.array(self.w, self.params.dtype),
            np.array(delta, self.of_state),
            np.array(sign, np.int8),
            np.array(update, self.of_state),
        )
        for found, numbers in zip((self.params, *self.state[:3]), expected, strict=True):
            assert bits(found) == bits(numbers.reshape(self.shape))
        assert bits(self.state.prev_loss) == bits(np.asarray(self.prev))


TestSteps = Steps.TestCase
