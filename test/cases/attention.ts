import { grad } from '../../engine/grad.ts';
import { attention, mul, sum, type AttentionOptions } from '../../engine/ops/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { define, given, uniform, type Case } from './case.ts';

/** Shapes of q, k and v, and the number of heads. */
type Form = readonly [q: Shape, k: Shape, v: Shape, heads: number];

const FORMS: readonly Form[] = [
  [[1, 1], [1, 1], [1, 1], 1],
  [[3, 4], [5, 4], [5, 2], 1],
  [[2, 3, 6], [2, 4, 6], [2, 4, 3], 3],
  [[2, 9, 8], [2, 9, 8], [2, 9, 8], 2],
  [[2, 2, 3, 5], [2, 2, 7, 5], [2, 2, 7, 9], 1],
  [[1, 13, 33], [1, 17, 33], [1, 17, 7], 1],
  [[0, 2, 4], [0, 3, 4], [0, 3, 4], 2],
  [[2, 0, 4], [2, 3, 4], [2, 3, 4], 2],
];

const LARGE: readonly Form[] = [
  [[3, 64, 64], [3, 64, 64], [3, 64, 64], 2],
  [[1, 70, 40], [1, 150, 40], [1, 150, 24], 4],
  [[1, 150, 10], [1, 140, 10], [1, 140, 6], 2],
];

const named = ([q, k, v, heads]: Form, what: string): string =>
  `q ${formatShape(q)}, k ${formatShape(k)}, v ${formatShape(v)}, heads ${heads}${what}`;

function caseOf(form: Form, what: string, options: AttentionOptions, tags: Case['tags'] = []): Case {
  const [q, k, v, heads] = form;
  return define(
    named(form, what),
    { q: uniform(q), k: uniform(k), v: uniform(v) },
    (x) => attention(x.q, x.k, x.v, { ...options, heads }),
    { tolerance: 1e-5, tags },
  );
}

const masked = (form: Form, shape: Shape): Case => {
  const [q, k, v, heads] = form;
  return define(
    named(form, `, mask ${formatShape(shape)}`),
    { q: uniform(q), k: uniform(k), v: uniform(v), mask: given(shape, [1, 0, 1, 1, 0, 0, 2], 'u8') },
    (x) => attention(x.q, x.k, x.v, { heads, mask: x.mask }),
    { tolerance: 1e-5 },
  );
};

const biased = (form: Form, shape: Shape): Case => {
  const [q, k, v, heads] = form;
  return define(
    named(form, `, bias ${formatShape(shape)}`),
    { q: uniform(q), k: uniform(k), v: uniform(v), bias: uniform(shape) },
    (x) => attention(x.q, x.k, x.v, { heads, mask: x.bias, causal: true }),
    { tolerance: 1e-5 },
  );
};

/** The gradient as an operation, so that its own derivative is checked. */
const GRADIENTS: readonly Case[] = [false, true].map((causal) =>
  define(
    causal ? 'causal' : 'all keys',
    { q: uniform([2, 3, 4]), k: uniform([2, 5, 4]), v: uniform([2, 5, 6]), g: uniform([2, 3, 6]) },
    ({ q, k, v, g }) => grad(sum(mul(attention(q, k, v, { heads: 2, causal }), g)), [q, k, v]),
    { tolerance: 1e-5 },
  ),
);

export const attentions = {
  attentionGrad: GRADIENTS,
  attention: [
    ...FORMS.flatMap((form) => [
      caseOf(form, '', {}),
      caseOf(form, ', causal, scale 0.7', { causal: true, scale: 0.7 }),
    ]),
    ...LARGE.flatMap((form) => [
      caseOf(form, '', {}, ['large']),
      caseOf(form, ', causal', { causal: true }, ['large']),
    ]),
    masked(FORMS[1], [3, 5]),
    masked(FORMS[2], [2, 1, 1, 4]),
    biased(FORMS[2], [3, 3, 4]),
    biased(FORMS[1], [5]),
  ],
} satisfies Record<string, readonly Case[]>;
