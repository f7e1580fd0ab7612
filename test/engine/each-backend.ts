/** The same expectations on every backend: for rules that hold to the last bit, or that a test states itself. */
import { afterAll, describe } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import { sum, tensor } from '../../engine/ops/index.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor } from '../../engine/types.ts';

const backends: readonly (readonly [string, () => Promise<Backend> | Backend])[] = [
  ['reference', () => reference()],
  ['wasm', () => wasm({ threads: 2 })],
  ['gpu.js cpu', () => gpu({ mode: 'cpu' })],
];

export const ints = (...values: number[]): Tensor => tensor(Int32Array.from(values));
export const bytes = (...values: number[]): Tensor => tensor(Uint8Array.from(values));

export interface OnBackend {
  readonly backend: () => Promise<Backend>;
  readonly evaluate: (tensors: readonly Tensor[]) => Promise<readonly HostTensor[]>;
  readonly values: (t: Tensor) => Promise<number[]>;
  /** The gradient of the sum of f(x) at x. */
  readonly gradient: (f: (x: Tensor) => Tensor, x: readonly number[]) => Promise<number[]>;
}

export function describeEachBackend(tests: (on: OnBackend) => void): void {
  describe.each(backends)('%s', (_name, make) => {
    let evaluator: Promise<Evaluator> | null = null;
    const evaluators = (): Promise<Evaluator> =>
      (evaluator ??= Promise.resolve(make()).then((backend) => new Evaluator(backend)));
    afterAll(async () => {
      const own = await evaluators();
      await own.close();
      await own.backend.close();
    });
    const evaluate = async (tensors: readonly Tensor[]) => (await evaluators()).evaluate(tensors);
    const values = async (t: Tensor): Promise<number[]> => [...(await evaluate([t]))[0].data];
    tests({
      backend: async () => (await evaluators()).backend,
      evaluate,
      values,
      gradient: (f, x) => {
        const t = tensor(x);
        return values(grad(sum(f(t)), [t])[0]);
      },
    });
  });
}
