import {
  celu,
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  mish,
  prelu,
  selu,
  silu,
  softplus,
} from '../../engine/ops/index.ts';
import type { Shape } from '../../engine/types.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { away, define, given, uniform, type Case, type Draw } from './case.ts';

const SHAPES: readonly Shape[] = [[1], [7], [3, 5], [0, 4], [2, 33]];

const each = (
  fn: (x: Tensor) => Tensor,
  {
    draw = uniform,
    tolerance = 2e-6,
    what = '',
  }: { draw?: (shape: Shape) => Draw; tolerance?: number; what?: string } = {},
): Case[] =>
  SHAPES.map((shape) =>
    define(`[${shape.join(',')}]${what}`, { x: draw(shape) }, ({ x }) => fn(x), { tolerance }),
  );

/** Far from 0, where a careless formula overflows or loses everything. */
const extremes = (fn: (x: Tensor) => Tensor): Case =>
  define(
    'extreme values',
    { x: given([12], [-1e30, -1000, -90, -30, -1e-6, 0, 1e-6, 30, 90, 1000, 1e30, NaN]) },
    ({ x }) => fn(x),
    { wrt: [], tags: ['special'] },
  );

/** Between the kinks of the hard functions at ±1, or ±3. */
const within = (shape: Shape): Draw => uniform(shape, -0.95, 0.95);
const beyond = (shape: Shape): Draw => away(shape, 3.1, 6);

export const activations = {
  gelu: [
    ...each((x) => gelu(x)),
    ...each((x) => gelu(x, { approximate: 'tanh' }), { what: ', approximately' }),
    define('large values', { x: given([4], [-100, -10, 10, 100]) }, ({ x }) => gelu(x)),
  ],
  silu: [...each(silu), define('large values', { x: given([4], [-80, -20, 20, 80]) }, ({ x }) => silu(x))],
  softplus: [
    ...each(softplus),
    define('at 0', { x: given([2], [0]) }, ({ x }) => softplus(x)),
    extremes(softplus),
  ],
  leakyRelu: [
    ...each((x) => leakyRelu(x), { draw: away }),
    ...each((x) => leakyRelu(x, 0.3), { draw: away, what: ', slope 0.3' }),
    extremes((x) => leakyRelu(x)),
  ],
  elu: [
    ...each((x) => elu(x), { draw: away }),
    ...each((x) => elu(x, 0.5), { draw: away, what: ', alpha 0.5' }),
    extremes((x) => elu(x)),
  ],
  celu: [
    ...each((x) => celu(x), { draw: away }),
    ...each((x) => celu(x, 2), { draw: away, what: ', alpha 2' }),
    extremes((x) => celu(x)),
  ],
  selu: [...each(selu, { draw: away }), extremes(selu)],
  mish: [...each(mish), extremes(mish)],
  prelu: ([[], [1], [3]] as const).map((slope: Shape) =>
    define(`slope [${slope.join(',')}]`, { x: away([2, 4, 3]), slope: uniform(slope, -1, 1) }, (t) =>
      prelu(t.x, t.slope),
    ),
  ),
  hardSigmoid: [
    ...each(hardSigmoid, { draw: within }),
    ...each(hardSigmoid, { draw: beyond, what: ', beyond' }),
    extremes(hardSigmoid),
  ],
  hardSwish: [...each(hardSwish, { draw: within }), ...each(hardSwish, { draw: beyond, what: ', beyond' })],
  hardTanh: [
    ...each(hardTanh, { draw: within }),
    ...each(hardTanh, { draw: beyond, what: ', beyond' }),
    extremes(hardTanh),
  ],
} satisfies Record<string, readonly Case[]>;
