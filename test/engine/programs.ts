/** Random small training steps for testing the planner: states, feeds, next values and outputs drawn by fast-check. */
import fc from 'fast-check';
import { grad } from '../../engine/grad.ts';
import {
  add,
  batchNorm,
  broadcastTo,
  cast,
  checkFinite,
  concat,
  cumsum,
  dropout,
  flip,
  gather,
  less,
  matmul,
  max,
  maximum,
  mean,
  mul,
  neg,
  pad,
  relu,
  reshape,
  slice,
  softmax,
  sort,
  stopGradient,
  sub,
  sum,
  tanh,
  tensor,
  transpose,
  where,
} from '../../engine/ops/index.ts';
import { key } from '../../engine/rng.ts';
import type { Built } from '../../engine/compile.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor, Shape, State } from '../../engine/types.ts';

/** Every value has six elements, so that any two of them can meet after a reshape. */
const SHAPES: readonly Shape[] = [[6], [2, 3], [3, 2], [6, 1], [1, 6]];

const INSTRUCTIONS = [
  'add',
  'sub',
  'mul',
  'square',
  'neg',
  'tanh',
  'relu',
  'reshape',
  'transpose',
  'add row',
  'matmul',
  'max',
  'batchNorm',
  'checkFinite',
  'dropout',
  'constant',
  'maximum',
  'where',
  'compared',
  'pieces',
  'padded',
  'flip',
  'gather',
  'running sum',
  'sort',
  'softmax',
  'stopGradient',
] as const;

interface Instruction {
  readonly op: (typeof INSTRUCTIONS)[number];
  /** Operands, counted among the values so far. */
  readonly a: number;
  readonly b: number;
}

export interface Program {
  readonly states: number;
  readonly feeds: number;
  readonly body: readonly Instruction[];
  /** The new value of each state; null: it keeps the old one. */
  readonly next: readonly (number | null)[];
  readonly outputs: readonly number[];
  /** Also computes the gradients of the last value by every state, and offers them as values. */
  readonly differentiate: boolean;
}

const operand = fc.nat({ max: 40 });

export const programs: fc.Arbitrary<Program> = fc.integer({ min: 1, max: 4 }).chain((states) =>
  fc.record({
    states: fc.constant(states),
    feeds: fc.integer({ min: 0, max: 2 }),
    body: fc.array(fc.record({ op: fc.constantFrom(...INSTRUCTIONS), a: operand, b: operand }), {
      minLength: 0,
      maxLength: 14,
    }),
    next: fc.array(fc.option(operand, { freq: 6 }), { minLength: states, maxLength: states }),
    outputs: fc.array(operand, { minLength: 1, maxLength: 4 }),
    differentiate: fc.boolean(),
  }),
);

const stateName = (i: number): string => `s${i}`;

export function typesOf(program: Program) {
  const type = (i: number) => ({ shape: SHAPES[i % SHAPES.length], dtype: 'f32' }) as const;
  return Object.fromEntries(Array.from({ length: program.feeds }, (_, i) => [`x${i}`, type(i + 1)]));
}

export function initialState(program: Program): State {
  return Object.fromEntries(
    Array.from({ length: program.states }, (_, i): [string, HostTensor] => [
      stateName(i),
      {
        shape: SHAPES[i % SHAPES.length],
        dtype: 'f32',
        data: Float32Array.from({ length: 6 }, (_unused, j) => Math.fround(Math.sin(i * 6 + j + 1))),
      },
    ]),
  );
}

export function feedsOf(program: Program, step: number): Record<string, number | Float32Array> {
  const feeds = Array.from({ length: program.feeds }, (_, i): [string, Float32Array] => [
    `x${i}`,
    Float32Array.from({ length: 6 }, (_unused, j) => Math.fround(Math.cos(step * 31 + i * 6 + j))),
  ]);
  return { ...Object.fromEntries(feeds), step };
}

/** Builds the graph; a new value is given its state's shape. */
export function buildProgram(
  program: Program,
  inputs: Readonly<Record<string, Tensor>> & { readonly step: Tensor },
  state: Readonly<Record<string, Tensor>>,
): Built {
  const states = Array.from({ length: program.states }, (_, i) => state[stateName(i)]);
  const values = [...states, ...Array.from({ length: program.feeds }, (_, i) => inputs[`x${i}`])];
  const at = (i: number): Tensor => values[i % values.length];
  for (const { op, a, b } of program.body) values.push(apply(op, at(a), at(b), b, inputs.step));
  if (program.differentiate) {
    const loss = mean(tanh(values.at(-1)));
    values.push(...grad(loss, states));
  }
  const next = program.next.flatMap((source, i): [string, Tensor][] =>
    source === null ? [] : [[stateName(i), reshape(at(source), states[i].shape)]],
  );
  const outputs = program.outputs.map((source, i): [string, Tensor] => [`out${i}`, at(source)]);
  return { outputs: Object.fromEntries(outputs), next: Object.fromEntries(next) };
}

function apply(op: Instruction['op'], a: Tensor, b: Tensor, n: number, step: Tensor): Tensor {
  const like = reshape(b, a.shape);
  const matrix = reshape(a, [2, 3]);
  switch (op) {
    case 'add':
      return add(a, like);
    case 'sub':
      return sub(a, like);
    case 'mul':
      return mul(a, like);
    case 'square':
      return tanh(mul(a, a));
    case 'neg':
      return neg(a);
    case 'tanh':
      return tanh(a);
    case 'relu':
      return relu(a);
    case 'reshape':
      return reshape(a, SHAPES[n % SHAPES.length]);
    case 'transpose':
      return transpose(matrix);
    case 'add row':
      return add(matrix, mul(sum(reshape(b, [2, 3]), 0), 0.5));
    case 'matmul':
      return tanh(matmul(matrix, matmul(reshape(b, [2, 3]), matrix, { transA: true })));
    case 'max':
      return broadcastTo(max(matrix, 1, { keepDims: true }), [2, 3]);
    case 'batchNorm':
      return batchNorm(reshape(a, [3, 2]), { epsilon: 1 }).y;
    case 'checkFinite':
      return checkFinite(tanh(a), 'value');
    case 'dropout':
      return dropout(a, 0.5, key(n, 'mask'), step);
    case 'constant':
      return add(a, 0.25);
    case 'maximum':
      return maximum(a, like);
    case 'where':
      return where(less(a, like), mul(a, 2), like);
    case 'compared':
      return mul(like, cast(less(like, a)));
    case 'pieces':
      return concat([slice(matrix, [null, { begin: 1 }]), slice(matrix, [null, { end: 1 }])], 1);
    case 'padded':
      return slice(
        pad(
          matrix,
          [
            [1, 1],
            [2, 0],
          ],
          { value: 0.5 },
        ),
        [
          { begin: 1, end: 3 },
          { begin: 1, end: 4 },
        ],
      );
    case 'flip':
      return flip(a);
    case 'gather':
      return gather(matrix, tensor(Int32Array.of(2, 0, 2)), 1);
    case 'running sum':
      return tanh(cumsum(a, 0, { reverse: n % 2 === 0 }));
    case 'sort':
      return sort(a).values;
    case 'softmax':
      return softmax(matrix, n % 2);
    case 'stopGradient':
      return mul(a, stopGradient(a));
    default:
      throw new Error(`unknown instruction ${JSON.stringify(op satisfies never)}`);
  }
}
