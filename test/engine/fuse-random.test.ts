// Random small image graphs, fused and unfused: what is shared, kept as an output or read late must not be fused away.

/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import fc from 'fast-check';
import { afterAll, beforeAll, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import { add, avgPool2d, conv2d, f32, maxPool2d, mean, mul, relu, sub, sum } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor, State } from '../../engine/types.ts';
import { expectClose } from './compare.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 2 });
});
afterAll(() => backend.close());

const OPS = [
  'conv',
  'conv',
  'bias',
  'bias',
  'relu',
  'relu',
  'max pool',
  'average pool',
  'add',
  'bias sum',
  'scale',
] as const;

interface Program {
  readonly body: readonly {
    readonly op: (typeof OPS)[number];
    readonly back: number;
    readonly which: number;
  }[];
  readonly outputs: readonly number[];
  readonly train: boolean;
}

const programs: fc.Arbitrary<Program> = fc.record({
  // Mostly the last value, so that chains form; now and then an older one, so that values are shared.
  body: fc.array(
    fc.record({
      op: fc.constantFrom(...OPS),
      back: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 5 }) }),
      which: fc.nat({ max: 1 }),
    }),
    { minLength: 2, maxLength: 9 },
  ),
  outputs: fc.array(fc.nat({ max: 12 }), { maxLength: 2 }),
  train: fc.boolean(),
});

/** Every value is [2, 6, 5, 3]: pooling and convolution keep the size. */
const SHAPE = [2, 6, 5, 3] as const;

function random(purpose: string, shape: readonly number[]): HostTensor {
  const draws = stream(4, purpose);
  const data = Float32Array.from({ length: sizeOf(shape) }, () => draws.normal() * 0.4);
  return { shape, dtype: 'f32', data };
}

const initial: State = {
  w0: random('w0', [3, 3, 3, 3]),
  w1: random('w1', [1, 1, 3, 3]),
  b0: random('b0', [3]),
  b1: random('b1', [3]),
};

function apply(
  op: (typeof OPS)[number],
  x: Tensor,
  other: Tensor,
  which: number,
  state: Readonly<Record<string, Tensor>>,
): Tensor {
  const bias = state[`b${which}`];
  switch (op) {
    case 'conv':
      return conv2d(x, state[`w${which}`], { padding: 'same' });
    case 'bias':
      return which === 0 ? add(x, bias) : add(bias, x);
    case 'relu':
      return relu(x);
    case 'max pool':
      return maxPool2d(x, 3, { stride: 1, padding: 1 });
    case 'average pool':
      return avgPool2d(x, 3, { stride: 1, padding: 1 });
    case 'add':
      return add(x, other);
    case 'bias sum':
      return add(x, mul(sum(other, [0, 1, 2]), 0.01));
    case 'scale':
      return mul(x, 0.5);
    default:
      throw new Error(`unknown operation ${JSON.stringify(op satisfies never)}`);
  }
}

it('agree, with outputs, gradients and new states', async () => {
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const make = (fuse: boolean) =>
        compile(backend, {
          fuse,
          inputs: { x: f32(...SHAPE) },
          state: initial,
          build({ x }, state) {
            const values: Tensor[] = [x];
            for (const { op, back, which } of program.body) {
              const at = (i: number): Tensor => values[Math.max(0, values.length - 1 - i)];
              values.push(apply(op, at(0), at(back), which, state));
            }
            const loss = mean(mul(values.at(-1), values.at(-1)));
            const names = Object.keys(state);
            const gradients = grad(
              loss,
              names.map((name) => state[name]),
            );
            const outputs = program.outputs.map((i, n): [string, Tensor] => [
              `out${n}`,
              values[i % values.length],
            ]);
            const next = names.map((name, i): [string, Tensor] => [
              name,
              sub(state[name], mul(gradients[i], 0.05)),
            ]);
            return {
              outputs: { loss, ...Object.fromEntries(outputs) },
              next: program.train ? Object.fromEntries(next) : {},
            };
          },
        });
      const [fused, plain] = [await make(true), await make(false)];
      try {
        for (let step = 0; step < 2; step++) {
          const x = random(`x ${step}`, SHAPE);
          // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
          const [got, want] = [await fused.run({ x }), await plain.run({ x })];
          expectClose('loss', got.loss, want.loss, 1e-4);
        }
        const [got, want] = [await fused.store.read(), await plain.store.read()];
        for (const [name, value] of Object.entries(want)) expectClose(name, got[name], value, 1e-4);
      } finally {
        await fused.close();
        await plain.close();
      }
    }),
    { numRuns: 150, seed: 9 },
  );
});
