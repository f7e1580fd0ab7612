// Logistic regression without layers, trainer or optimizer: state, gradients and update are explicit.
// The argument is the number of steps (default 300).
import {
  binaryCrossEntropy,
  compile,
  equal,
  f32,
  formatPercent,
  grad,
  greater,
  mean,
  mul,
  stream,
  sub,
  wasm,
} from 'cyclegrad';

const steps = Number(process.argv[2] ?? 300);
const n = 400;
const draws = stream(1, 'points');
// Points of two normal distributions, and their labels.
const y = Float32Array.from({ length: n }, (_, i) => i % 2);
const x = Float32Array.from({ length: 2 * n }, (_, i) => draws.normal() + (y[i >> 1] === 1 ? 1.5 : -0.5));

const backend = await wasm({ threads: 1 });
const step = await compile(backend, {
  inputs: { x: f32(n, 2), y: f32(n, 1), rate: f32() },
  state: {
    w: { shape: [2, 1], dtype: 'f32', data: new Float32Array(2) },
    b: { shape: [1], dtype: 'f32', data: new Float32Array(1) },
  },
  build({ x: points, y: labels, rate }, { w, b }) {
    const logits = points.matmul(w).add(b);
    const loss = binaryCrossEntropy(logits, labels);
    const [gw, gb] = grad(loss, [w, b]);
    const right = mean(equal(greater(logits, 0), greater(labels, 0.5)).cast());
    return {
      outputs: { loss, right },
      // The state is written only if everything else succeeds.
      next: { w: sub(w, mul(gw, rate)), b: sub(b, mul(gb, rate)) },
    };
  },
});
for (let t = 0; t <= steps; t++) {
  const { loss, right } = await step.run({ x, y, rate: 0.5 });
  if (t % Math.ceil(steps / 5) === 0) {
    console.log(`step ${t}: loss ${loss.data[0].toFixed(4)}, ${formatPercent(right.data[0])} correct`);
  }
}
const { w, b } = await step.store.read();
console.log(
  `decision boundary: ${w.data[0].toFixed(2)} x + ${w.data[1].toFixed(2)} y + ${b.data[0].toFixed(2)} = 0`,
);
await step.close();
await backend.close();
