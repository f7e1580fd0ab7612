/** Expressions of several operations: values used more than once, gradients that meet, and a small network. */
import {
  add,
  avgPool2d,
  conv2d,
  customGradient,
  div,
  dropout,
  exp,
  log,
  lrnWithin,
  matmul,
  maxPool2d,
  mean,
  mul,
  normalizeImages,
  relu,
  reshape,
  sigmoid,
  crossEntropy,
  sub,
  sum,
  gather,
  tanh,
  transpose,
} from '../../engine/ops/index.ts';
import { key } from '../../engine/rng.ts';
import { away, bytes, define, distinct, given, integers, uniform, type Case } from './case.ts';

export const composite: readonly Case[] = [
  define('a value used four times', { x: uniform([2, 3]), w: uniform([3, 2]) }, ({ x, w }) => {
    const h = tanh(matmul(x, w));
    return add(mul(h, h), sub(matmul(transpose(h), h), div(h, add(mul(h, h), 2))));
  }),
  define('log of a sum of exponentials', { x: uniform([4, 5]) }, ({ x }) => log(sum(exp(x), 1))),
  define('one value broadcast in two ways', { x: uniform([3]), m: uniform([3, 3]) }, ({ x, m }) =>
    mul(add(m, x), add(m, reshape(x, [3, 1]))),
  ),
  define('a residual of a residual', { x: away([3, 4]), w: uniform([4, 4], -0.5, 0.5) }, ({ x, w }) => {
    const once = add(x, sigmoid(matmul(x, w)));
    return add(once, sigmoid(matmul(once, w)));
  }),
  define(
    'a long chain of elementwise operations',
    { x: uniform([7, 33], -1, 1) },
    ({ x }) => {
      let h = x;
      for (let i = 1; i <= 20; i++) h = tanh(add(mul(h, 1 + i / 40), sub(x, 0.01 * i)));
      return h;
    },
    { tolerance: 1e-5 },
  ),
  define('a reshape between two uses', { x: uniform([2, 6]) }, ({ x }) =>
    add(sum(mul(x, x)), matmul(reshape(x, [3, 4]), reshape(x, [4, 3]))),
  ),
  define(
    'dense layer',
    { x: uniform([5, 7]), w: uniform([7, 3]), b: uniform([3]) },
    ({ x, w, b }) => sigmoid(add(matmul(x, w), b)),
    { tolerance: 1e-5 },
  ),
  define(
    'softmax cross-entropy of a dense layer',
    { x: uniform([5, 7]), w: uniform([7, 4]), labels: integers([5], 4) },
    ({ x, w, labels }) => crossEntropy(matmul(x, w), labels),
    { tolerance: 1e-5 },
  ),
  define(
    'pooling of a pooling',
    { x: distinct([1, 9, 8, 3]) },
    ({ x }) => avgPool2d(maxPool2d(x, 3, { stride: 2, ceil: true }), 2, { stride: 1, padding: 'same' }),
    { tolerance: 1e-6 },
  ),
  define(
    'a small convolutional network',
    {
      images: bytes([6, 9, 8, 3]),
      index: given([4], [5, 0, 2, 2], 'i32'),
      draws: given([4, 3], [0, 0, 0, 1, -1, 0, -1, 1, 1, 0, 0, 1], 'i32'),
      w1: uniform([5, 5, 3, 5], -0.2, 0.2),
      b1: uniform([5], -0.2, 0.2),
      w2: uniform([3, 3, 5, 6], -0.2, 0.2),
      w3: uniform([24, 4], -0.2, 0.2),
      labels: integers([4], 4),
      at: given([], [3], 'i32'),
    },
    ({ images, index, draws, w1, b1, w2, w3, labels, at }) => {
      const x = normalizeImages(gather(images, index), [120, 127, 133], 1 / 64, draws);
      const h1 = lrnWithin(
        relu(maxPool2d(add(conv2d(x, w1, { padding: 2 }), b1), 3, { stride: 2, ceil: true })),
        {
          size: 3,
          alpha: 0.1,
        },
      );
      const h2 = avgPool2d(relu(conv2d(h1, w2, { padding: 'same' })), 3, { stride: 2, ceil: true });
      const flat = dropout(reshape(h2, [4, -1]), 0.3, key(1, 'drop'), at);
      return crossEntropy(matmul(flat, w3), labels);
    },
    { wrt: ['w1', 'b1', 'w2', 'w3'], tolerance: 3e-5, tags: ['large'] },
  ),
  define('mean of a product, by axis', { x: uniform([3, 4]), y: uniform([4]) }, ({ x, y }) =>
    mean(mul(x, y), 0),
  ),
];

const square = customGradient({
  name: 'square',
  forward: (x) => mul(x, x),
  gradient: ({ inputs: [x], grad }) => [mul(mul(x, 2), grad)],
});

const scaled = customGradient({
  name: 'scaled',
  forward: (x, s) => mul(x, s),
  gradient: ({ inputs: [x, s], grad }) => [mul(grad, s), sum(mul(grad, x))],
});

/** Operations with derivatives of their own, which are the right ones here. */
export const custom: readonly Case[] = [
  define('of one input', { x: uniform([3, 5]) }, ({ x }) => square(x)),
  define('of two', { x: uniform([4, 2]), s: uniform([]) }, ({ x, s }) => scaled(x, s)),
  define('of its own result', { x: uniform([7]) }, ({ x }) => square(add(square(x), x))),
  define('of what others use', { x: uniform([2, 3]) }, ({ x }) => {
    const y = tanh(x);
    return add(square(y), mul(y, square(x)));
  }),
];
