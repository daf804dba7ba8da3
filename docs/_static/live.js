// The small figures and the exercises inside the pages, on the rule of rprop.js.
"use strict";
(() => {
  const SUB = ["₁", "₂"], COLOURS = ["var(--one)", "var(--two)"];
  const minus = text => text.replace(/-/g, "−");
  const show = v => v === 0 ? "0" : minus(Math.abs(v) < 1e-3 ? v.toExponential(1) : String(Number(v.toPrecision(4))));

  function make(tag, attributes = {}, ...children) {
    const shape = /^(svg|g|path|circle|ellipse|polyline|text|line)$/.test(tag);
    const node = shape ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    node.append(...children);
    return node;
  }
  const field = (text, control, wide) => make("label", wide ? { class: "wide" } : {}, text, control);
  const choice = options => make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
  const VARIANTS = Object.entries(Rprop.NAMES);

  // Along what the steps of the ellipse are taken: the angle of the directions at first, and whether they are learned.
  const DIRECTIONS = {
    axes: { title: "the axes", turn: () => 0 },
    own: { title: "the ellipse’s own directions", turn: angle => angle },
    learned: { title: "directions learned on the way", turn: () => 0, learns: true },
  };
  const EVERY = 5; // steps between two renewals of learned directions

  // The eigenvectors of a symmetric estimate of the Hessian, built up from zero out of moves and changes of the gradient.
  function learner() {
    let [p, q, r] = [0, 0, 0], before = null; // the matrix [[p, q], [q, r]]; the last point and gradient
    return {
      see(x, g) {
        if (before) {
          const [s, t] = x.map((c, i) => c - before.x[i]), [y, z] = g.map((c, i) => c - before.g[i]);
          const [a, b] = [y - p * s - q * t, z - q * s - r * t], along = a * s + b * t;
          if (Math.abs(along) > 1e-8 * Math.hypot(a, b) * Math.hypot(s, t)) [p, q, r] = [p + a * a / along, q + a * b / along, r + b * b / along];
        }
        before = { x, g };
      },
      angle: () => Math.atan2(2 * q, p - r) / 2,
    };
  }
  const turned = ([a, b], angle) => { // the coordinates of (a, b) along directions turned by the angle
    const [c, s] = angle ? [Math.cos(angle), Math.sin(angle)] : [1, 0];
    return [c * a + s * b, c * b - s * a];
  };

  // A long ellipse, turned by an angle; the start can be dragged.
  function breathe(root) {
    const SIZE = 320, SPAN = 4, STEPS = 60, STIFF = 30, GOAL = 1e-6;
    const start = [-3, 1.5];
    const steps = make("input", { type: "range", min: 0, max: STEPS, value: 12 });
    const angle = make("input", { type: "range", min: 0, max: 45, value: 0 });
    const variant = choice(VARIANTS), along = choice(Object.entries(DIRECTIONS).map(([key, d]) => [key, d.title]));
    variant.value = "irprop-";
    const turns = root.dataset.figure === "turn";
    const plot = make("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "group", "aria-label": "The path over the contours of an ellipse" });
    const sizes = make("svg", { viewBox: `0 0 ${SIZE} 110`, role: "img" }), told = make("output", { "aria-live": "polite" });
    const handle = make("g", { class: "start", tabindex: 0, role: "button" });
    const back = make("g");
    plot.append(back, handle);
    root.append(plot, sizes, make("div", { class: "controls" },
      field("step", steps, true), ...turns ? [field("turn of the ellipse, in degrees", angle, true), field("step along", along)] : [],
      field("variant", variant)), told);

    const px = p => [(p[0] / SPAN + 1) * SIZE / 2, (1 - p[1] / SPAN) * SIZE / 2];
    const edge = p => p.map(c => Math.max(3, Math.min(SIZE - 3, c)));
    function run() {
      const a = angle.value * Math.PI / 180, { turn, learns } = DIRECTIONS[along.value], learned = learner();
      let by = turn(a);
      const look = z => { // z along the directions of the steps; u along those of the ellipse
        const u = turned(z, a - by);
        return { f: (u[0] * u[0] + STIFF * u[1] * u[1]) / 2, g: turned([u[0], STIFF * u[1]], by - a) };
      };
      let x = turned(start, by), state = Rprop.init(x, 0.5);
      const rows = [];
      for (let k = 0; k <= STEPS * 5; k++) {
        if (learns && k > 0 && k % EVERY === 0) { // Δ goes along, signs are forgotten
          const now = learned.angle(), [c, s] = [Math.cos(now - by) ** 2, Math.sin(now - by) ** 2], [d, e] = state.delta.map(v => v * v);
          x = turned(turned(x, -by), now);
          state = { ...Rprop.init(x, [Math.sqrt(c * d + s * e), Math.sqrt(s * d + c * e)]), prevLoss: state.prevLoss };
          by = now;
        }
        const { f, g } = look(x);
        if (learns) learned.see(turned(x, -by), turned(g, -by));
        rows.push({ x: turned(x, -by), f, delta: state.delta, by });
        ({ x, state } = Rprop.step(x, g, state, variant.value, [0.5, 1.2], [0, 50], f));
      }
      return { rows, a };
    }
    function draw() {
      const { rows, a } = run(), t = Number(steps.value), { by } = rows[t], degrees = -a * 180 / Math.PI;
      const path = rows.slice(0, t + 1).map(r => edge(px(r.x))), [u, v] = path[t], unit = SIZE / (2 * SPAN);
      const levels = [0.3, 0.8, 1.5, 2.4, 3.5, 4.8].map(r => make("ellipse", { cx: 0, cy: 0, rx: r * unit, ry: r * unit / Math.sqrt(STIFF),
        transform: `translate(${SIZE / 2} ${SIZE / 2}) rotate(${degrees})`, fill: "none", stroke: "currentcolor", "stroke-opacity": 0.35 }));
      const bars = [0, 1].map(i => {
        const d = Math.min(rows[t].delta[i], 2 * SPAN), [p, q] = turned(i ? [0, d] : [d, 0], -by).map(c => c * unit);
        return make("line", { x1: u - p, y1: v + q, x2: u + p, y2: v - q, stroke: COLOURS[i], "stroke-width": 3.5, "stroke-dasharray": i ? "6 3" : "none" });
      });
      back.replaceChildren(...levels,
        make("polyline", { points: path.map(p => p.map(c => c.toFixed(1)).join()).join(" "), fill: "none", stroke: "currentcolor", "stroke-width": 1.8 }),
        ...path.map(([p, q]) => make("circle", { cx: p, cy: q, r: 2.5, fill: "currentcolor" })), ...bars,
        make("circle", { cx: u, cy: v, r: 5, fill: "var(--pst-color-background)", stroke: "currentcolor", "stroke-width": 2.5 }));
      const [p, q] = edge(px(start));
      handle.replaceChildren(make("circle", { class: "ring", cx: p, cy: q, r: 20, fill: "transparent", stroke: "transparent", "stroke-width": 3 }),
        make("path", { d: `M${p} ${q - 9}l9 9l-9 9l-9 -9z`, fill: "#f5c400", stroke: "#1b2733", "stroke-width": 2 }));
      handle.setAttribute("aria-label", `Start, x₁ ${show(start[0])}, x₂ ${show(start[1])}. Drag it, or move it with the arrow keys.`);
      draw_sizes(rows, t);
      const done = rows.findIndex(r => r.f <= GOAL * rows[0].f);
      told.textContent = `Step ${t}: x = (${rows[t].x.map(show).join(", ")}), Δ = (${rows[t].delta.map(show).join(", ")}), f = ${show(rows[t].f)}. ` +
        (turns ? `The steps go along directions turned by ${show((Math.round(by * 1800 / Math.PI) / 10 + 180) % 90)}°. ` : "") +
        (done < 0 ? `In ${rows.length - 1} steps f does not fall to a millionth.` : `f falls to a millionth in ${done} steps.`);
    }
    function draw_sizes(rows, t) {
      const [left, right, top, bottom] = [40, 292, 8, 86];
      const logs = rows.slice(0, STEPS + 1).flatMap(r => r.delta).filter(d => d > 0).map(Math.log10);
      const [low, high] = [Math.floor(Math.min(...logs)), Math.max(1, Math.ceil(Math.max(...logs)))];
      const at_x = k => left + (right - left) * k / STEPS, at_y = d => bottom - (bottom - top) * (Math.log10(d) - low) / (high - low);
      const line = (i, to) => rows.slice(0, to + 1).map((r, k) => `${at_x(k).toFixed(1)},${at_y(r.delta[i]).toFixed(1)}`).join(" ");
      sizes.replaceChildren(
        ...[low, high].flatMap(e => [make("path", { d: `M${left} ${at_y(10 ** e)}H${right}`, stroke: "currentcolor", "stroke-opacity": 0.35 }),
          make("text", { x: left - 5, y: at_y(10 ** e) + 4, "text-anchor": "end" }, e >= -3 ? String(10 ** e) : minus(`1e${e}`))]),
        ...[0, STEPS / 2, STEPS].map(k => make("text", { x: at_x(k), y: bottom + 16, "text-anchor": "middle" }, String(k))),
        ...[0, 1].flatMap(i => [
          make("polyline", { points: line(i, STEPS), fill: "none", stroke: COLOURS[i], "stroke-opacity": 0.35, "stroke-width": 1.5 }),
          make("polyline", { points: line(i, t), fill: "none", stroke: COLOURS[i], "stroke-width": 2.2, "stroke-dasharray": i ? "6 3" : "none" }),
          make("circle", { cx: at_x(t), cy: at_y(rows[t].delta[i]), r: 4, fill: COLOURS[i] }),
          make("text", { x: right + 6, y: top + 12 + 16 * i, style: `fill:${COLOURS[i]};font-weight:600` }, "Δ" + SUB[i])]));
      sizes.setAttribute("aria-label", `Step sizes over the steps, on a logarithmic scale; after ${t} steps Δ₁ is ${show(rows[t].delta[0])}, Δ₂ ${show(rows[t].delta[1])}.`);
    }
    function move(p) {
      p.forEach((c, i) => { start[i] = Number((Math.round(Math.max(-SPAN, Math.min(SPAN, c)) * 20) / 20).toFixed(2)); });
      draw();
    }
    let dragging = false;
    const pointer = event => {
      const box = plot.getBoundingClientRect();
      move([(2 * (event.clientX - box.left) / box.width - 1) * SPAN, (1 - 2 * (event.clientY - box.top) / box.height) * SPAN]);
    };
    handle.addEventListener("pointerdown", event => { dragging = true; handle.setPointerCapture(event.pointerId); });
    handle.addEventListener("pointermove", event => { if (dragging) pointer(event); });
    ["pointerup", "pointercancel"].forEach(name => handle.addEventListener(name, () => { dragging = false; }));
    plot.addEventListener("click", event => { if (!event.target.closest(".start")) pointer(event); });
    handle.addEventListener("keydown", event => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation(); // the theme turns pages with arrow keys
      move(start.map((c, i) => c + by[i] * 0.2));
    });
    [steps, angle, variant, along].forEach(control => control.addEventListener("input", draw));
    draw();
  }

  // The four variants at their first change of sign on x² / 2, for a Δ0 to choose.
  function flip(root) {
    const WIDTH = 340, ROW = 52, LEFT = 68;
    const delta0 = make("input", { type: "range", min: 0.4, max: 1.6, step: 0.01, value: 0.9 });
    const plot = make("svg", { viewBox: `0 0 ${WIDTH} ${4 * ROW + 24}`, role: "img" }), told = make("output", { "aria-live": "polite" });
    root.append(plot, make("div", { class: "controls" }, field("Δ0, the first step from x = 1", delta0, true)), told);
    const px = x => LEFT + (x + 1.2) / 2.4 * (WIDTH - LEFT - 8);
    function draw() {
      const nodes = [make("path", { d: `M${px(0)} 0V${4 * ROW}`, stroke: "currentcolor", "stroke-opacity": 0.5, "stroke-dasharray": "3 3" }),
        ...[-1, -0.5, 0, 0.5, 1].map(x => make("text", { x: px(x), y: 4 * ROW + 18, "text-anchor": "middle" }, minus(String(x))))];
      let risen, from, reduced;
      const lands = VARIANTS.map(([key, name], row) => {
        let x = [1], state = Rprop.init(x, Number(delta0.value));
        const y = row * ROW + 36, path = [];
        for (;;) {
          const now = Rprop.step(x, x, state, key, [0.5, 1.2], [1e-6, 50], x[0] * x[0] / 2), c = now.coordinates[0];
          path.push([c, now.risen]);
          ({ x, state } = now);
          if (c.change === "shrink") break;
        }
        nodes.push(make("path", { d: `M${px(-1.2)} ${y}H${px(1.2)}`, stroke: "currentcolor", "stroke-opacity": 0.35 }),
          make("text", { x: 0, y: y + 4, style: "font-weight:600" }, name));
        path.forEach(([c]) => {
          const [a, b] = [px(c.x), px(c.after)], last = c.change === "shrink", colour = last ? COLOURS[0] : COLOURS[1];
          nodes.push(make("circle", { cx: a, cy: y, r: 3.5, fill: "currentcolor" }));
          if (c.move === 0) nodes.push(make("circle", { cx: a, cy: y, r: 8, fill: "none", stroke: colour, "stroke-width": 2.5 }));
          else nodes.push(make("path", { d: `M${a} ${y}Q${(a + b) / 2} ${y - 34} ${b} ${y}`, fill: "none", stroke: colour, "stroke-width": 2.2 }),
            make("path", { d: last ? `M${b} ${y - 1}l-6 -8h12z` : `M${b} ${y - 1}l-4 -6h8z`, fill: colour }));
        });
        const [c, rose] = path.at(-1);
        [risen, from, reduced] = [rose, c.x, c.delta];
        return `${name} ${{ stay: "stays", step: `steps to ${show(c.after)}`, undo: `goes back to ${show(c.after)}` }[c.action]}`;
      });
      plot.replaceChildren(...nodes);
      plot.setAttribute("aria-label", `Moves along x: ${lands.join("; ")}.`);
      told.textContent = `Δ0 = ${show(Number(delta0.value))}: the sign changes at x = ${show(from)}, where the loss ${risen ? "rose" : "fell"}. ` +
        `Δ becomes ${show(reduced)}. ${lands.join("; ")}.`;
    }
    delta0.addEventListener("input", draw);
    draw();
  }

  // What will the next step do? Asked of a tape of signs, checked against the rule.
  function predict(root) {
    const first = { variant: root.dataset.variant, signs: root.dataset.signs.split(" ").map(Number), risen: root.dataset.risen === "yes" };
    const question = make("p"), answer = make("p", { class: "answer", role: "status" });
    const delta = make("input", { inputmode: "decimal", autocomplete: "off" }), move = make("input", { inputmode: "decimal", autocomplete: "off" });
    const form = make("form", { class: "controls" }, field("Δ becomes", delta), field("x moves by", move), make("button", {}, "Check"));
    const reveal = make("button", { type: "button" }, "Show the answer"), another = make("button", { type: "button" }, "Another");
    form.append(reveal, another);
    root.replaceChildren(question, form, answer);
    let right;
    function ask({ variant, signs, risen }) {
      let x = [0], state = Rprop.init(x), loss = 0, now;
      signs.forEach((g, k) => {
        const before = state;
        loss += k < signs.length - 1 || risen ? 1 : -1; // only the last matters here: no other sign changes
        now = Rprop.step(x, [g], state, variant, [0.5, 1.2], [1e-6, 50], loss);
        if (k === signs.length - 1) right = { ...now.coordinates[0], before: before.delta[0], lastMove: before.prevMove[0] };
        ({ x, state } = now);
      });
      const text = s => s > 0 ? "+" : s < 0 ? "−" : "0", so_far = signs.slice(0, -1).map(text).join(" ");
      question.textContent = `${Rprop.NAMES[variant]}, η⁻ = 0.5, η⁺ = 1.2. The signs so far were ${so_far}; Δ is ${show(right.before)}, the last move was ${show(right.lastMove)}, ` +
        `the remembered sign is ${text(right.last)}. Now the sign is ${text(right.sign)}` +
        (right.change === "shrink" ? `, and the loss ${risen ? "rose" : "fell"}.` : ".");
      [delta, move].forEach(input => { input.value = ""; input.removeAttribute("aria-invalid"); });
      answer.textContent = "";
    }
    const WHY = { grow: "the sign stayed, so Δ grows", shrink: "the sign changed, so Δ shrinks", keep: "there is no sign to compare, so Δ stays" };
    const DOES = { step: "x steps by Δ against the sign", stay: "x stays", undo: "x takes its last move back" };
    const number = input => input.value.trim() === "" ? NaN : Number(input.value.replace(/−/g, "-").replace(",", "."));
    const near = (got, want) => Math.abs(got - want) <= 0.002 * Math.abs(want);
    form.addEventListener("submit", event => {
      event.preventDefault();
      const good = [near(number(delta), right.delta), near(number(move), right.move)];
      [delta, move].forEach((input, k) => input.setAttribute("aria-invalid", !good[k]));
      answer.textContent = good[0] && good[1] ? "Right." :
        good[0] ? `Δ is right. The move is not: what does the rule do with x ${right.change === "shrink" ? "at a change of sign" : "here"}?` :
        `Not yet. Compare the sign with the remembered one: ${WHY[right.change]}.`;
    });
    reveal.addEventListener("click", () => {
      answer.textContent = `Δ = ${show(right.delta)}, move ${show(right.move)}: ${WHY[right.change]}, and ${DOES[right.action]}.`;
    });
    another.addEventListener("click", () => {
      const pick = list => list[Math.floor(Math.random() * list.length)], s = pick([1, -1]);
      ask({ variant: pick(VARIANTS)[0], signs: [...Array(pick([1, 2, 3])).fill(s), pick([s, -s, -s, 0])], risen: pick([true, false]) });
      delta.focus();
    });
    ask(first);
  }

  const FIGURES = { breathe, turn: breathe, flip };
  const start = () => {
    document.querySelectorAll(".live[data-figure]").forEach(root => FIGURES[root.dataset.figure](root));
    document.querySelectorAll(".predict[data-signs]").forEach(predict);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
