// iRprop- in JavaScript, one line of JSON per step, for
//   python -m rprop.conformance --reuse --command "node examples/rprop.js"
// A case begins: {"params": [...], "delta0": ..., "etas": [...], "step_sizes": [...], "dtype": ...}
// and goes on:   {"grads": [...], "loss": ...}, answered by {"params": [...], "delta": [...]}.
'use strict';

const lines = require('readline').createInterface({ input: process.stdin });
let w, delta, prev, etas, limits, rounded, declined;

const sign = g => (g > 0) - (g < 0);

lines.on('line', line => {
  const message = JSON.parse(line);
  if (message.params !== undefined) {
    declined = message.dtype === 'float16';
    rounded = message.dtype === 'float32' ? Math.fround : x => x;
    [etas, limits] = [message.etas, message.step_sizes].map(pair => pair.map(rounded));
    w = message.params;
    delta = w.map(() => rounded(message.delta0));
    prev = w.map(() => 0);
    return;
  }
  if (declined) return console.log('{"decline": "only float64 and float32"}');
  message.grads.map(Number).forEach((g, i) => {   // "nan" becomes NaN, "inf" does not
    if (message.grads[i] === 'inf') g = Infinity;
    if (message.grads[i] === '-inf') g = -Infinity;
    const agreement = sign(g) * prev[i];
    const factor = agreement > 0 ? etas[1] : agreement < 0 ? etas[0] : 1;
    delta[i] = Math.min(Math.max(rounded(delta[i] * factor), limits[0]), limits[1]);
    prev[i] = agreement < 0 ? 0 : sign(g);
    w[i] = rounded(w[i] - prev[i] * delta[i]);
  });
  console.log(JSON.stringify({ params: w, delta }));
});
