// A custom operation with its own gradient: a straight-through estimator for rounding.
// A gradient check compares custom gradients with finite differences.
import { customGradient, grad, mul, pow, sub, sum, tensor } from 'cyclegrad';
import { gradcheck } from 'cyclegrad/tools';

const quantize = customGradient({
  name: 'quantize',
  forward: (x) => x.round(),
  // The true derivative is 0 almost everywhere. This is the derivative of the identity.
  gradient: ({ grad: g }) => [g],
});

// Gradient descent on (2 · round(w) − 7.4)².
const rate = 0.05;
let w = tensor([0]);
for (let step = 0; step < 50; step++) {
  const loss = sum(pow(sub(mul(quantize(w), 2), 7.4), 2));
  const [g] = grad(loss, [w]);
  w = tensor((await sub(w, mul(g, rate)).data()).slice());
}
console.log(`2 · round(w) is closest to 7.4 at w = ${(await w.data())[0].toFixed(3)}`);

// An exact custom gradient passes the check. The straight-through gradient fails it.
const cube = customGradient({
  name: 'cube',
  forward: (x) => x.mul(x).mul(x),
  gradient: ({ inputs: [x], grad: g }) => [mul(mul(x, x), 3).mul(g)],
});
console.log(String(await gradcheck(({ x }) => cube(x), { x: [-1, 0.5, 2] })));
try {
  await gradcheck(({ x }) => quantize(x), { x: [0.3] });
} catch (error) {
  console.log(String(error));
}
