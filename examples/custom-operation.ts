// An operation of one's own with its own derivative: rounding that lets gradients through, to train weights that are stored
// as whole numbers. A gradient check shows what it hides.
import { customGradient, grad, mul, pow, sub, sum, tensor } from 'cyclegrad';
import { gradcheck } from 'cyclegrad/tools';

const quantize = customGradient({
  name: 'quantize',
  forward: (x) => x.round(),
  // The true derivative is 0 almost everywhere; this one is that of the identity.
  gradient: ({ grad: g }) => [g],
});

// Which whole number is closest to 3.7 times another?
const rate = 0.05;
let w = tensor([0]);
for (let step = 0; step < 50; step++) {
  const loss = sum(pow(sub(mul(quantize(w), 2), 7.4), 2));
  const [g] = grad(loss, [w]);
  w = tensor((await sub(w, mul(g, rate)).data()).slice());
}
console.log(`2 · round(w) is closest to 7.4 for w = ${(await w.data())[0].toFixed(3)}`);

// Where a derivative is meant to be the true one, gradcheck says whether it is.
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
