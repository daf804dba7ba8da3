// Check an Rprop against core.json: node core.js core.json
'use strict';
const vectors = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'));
const variant = 'irprop-';

class Stepper {                          // replace it by yours; this is iRprop-
  constructor(params, delta0, etas, limits) {
    Object.assign(this, { params: [...params], etas, limits });
    this.delta = params.map(() => delta0);
    this.prev = params.map(() => 0);
  }
  step(grads, loss) {
    grads.forEach((g, i) => {
      const same = Math.sign(g) * this.prev[i];
      const factor = same > 0 ? this.etas[1] : same < 0 ? this.etas[0] : 1;
      this.delta[i] = Math.min(Math.max(this.delta[i] * factor, this.limits[0]), this.limits[1]);
      this.prev[i] = same < 0 ? 0 : Math.sign(g);
      this.params[i] -= this.prev[i] * this.delta[i];
    });
  }
}

function bits(number) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number + 0);        // + 0: minus zero is zero
  return view.getBigUint64(0).toString(16).padStart(16, '0');
}

for (const c of vectors.cases) {         // [0]: decimals, [1]: bits
  const stepper = new Stepper(c.params[0], c.delta0[0][0], c.etas[0], c.step_sizes[0]);
  c.expected[variant].forEach(([decimals, expected], k) => {
    stepper.step(c.grads[k][0], c.losses[0][k]);
    if (stepper.params.map(bits).join() !== expected.join()) {
      console.error(`${c.id}, step ${k + 1}: ${stepper.params} should be ${decimals}`);
      process.exit(1);
    }
  });
}
console.log(`conforms to ${variant} core ${vectors.version}`);
