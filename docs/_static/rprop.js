// Resilient backpropagation, with the arithmetic of rprop/rule/reference.py, operation for operation.
"use strict";
const Rprop = (() => {
  // What a coordinate does when its gradient changed sign, the same where the loss rose,
  // and whether it forgets the new sign.
  const VARIANTS = {
    "rprop-": { onFlip: "step", onFlipRisen: "step", forgets: false },
    "irprop-": { onFlip: "stay", onFlipRisen: "stay", forgets: true },
    "rprop+": { onFlip: "undo", onFlipRisen: "undo", forgets: true },
    "irprop+": { onFlip: "stay", onFlipRisen: "undo", forgets: true },
  };
  const NAMES = { "rprop-": "RPROP−", "irprop-": "iRprop−", "rprop+": "RPROP+", "irprop+": "iRprop+" };
  const sign = g => (g > 0) - (g < 0); // NaN has none
  const at = (value, i) => Array.isArray(value) ? value[i] : value;

  function init(x, delta0 = 0.1) {
    return { delta: x.map((_, i) => at(delta0, i)), prevSign: x.map(() => 0), prevMove: x.map(() => 0), prevLoss: NaN };
  }

  // One step from x with gradient g: the new x and state, and for each coordinate what happened.
  function step(x, g, state, variant = "irprop-", etas = [0.5, 1.2], stepSizes = [1e-6, 50], loss = null) {
    const row = VARIANTS[variant];
    const risen = loss !== null && (loss > state.prevLoss || Number.isNaN(loss));
    const coordinates = x.map((xi, i) => {
      const now = sign(g[i]), last = state.prevSign[i], agreement = now * last;
      const change = agreement > 0 ? "grow" : agreement < 0 ? "shrink" : "keep";
      const factor = { shrink: etas[0], keep: 1, grow: etas[1] }[change];
      const delta = Math.min(Math.max(state.delta[i] * factor, at(stepSizes[0], i)), at(stepSizes[1], i));
      const action = agreement < 0 ? (risen ? row.onFlipRisen : row.onFlip) : now === 0 ? "stay" : "step";
      const move = action === "undo" ? -state.prevMove[i] : action === "stay" ? 0 : -(now * delta);
      const remembered = agreement < 0 && row.forgets ? 0 : now;
      return { i, x: xi, g: g[i], sign: now, last, change, action, delta, move, remembered, after: xi + move };
    });
    const all = key => coordinates.map(c => c[key]);
    return {
      x: all("after"), coordinates, risen,
      state: { delta: all("delta"), prevSign: all("remembered"), prevMove: all("move"), prevLoss: loss === null ? NaN : loss },
    };
  }
  return { VARIANTS, NAMES, init, step };
})();
