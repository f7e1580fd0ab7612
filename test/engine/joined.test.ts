// V8 joins pairs of 128-bit vectors of the wide binary. Its trace names, for each function, the pairs that it joined and did not join.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { wideSimdUnavailableReason } from '../../engine/backends/wasm/simd.ts';

/** Runs every form of convolution, forward and back, a product, and elementwise operations. */
const PROGRAM = `
import { Evaluator } from '${url('engine/evaluate.ts')}';
import { add, conv2d, div, erf, erfc, exp, grad, less, matmul, maximum, minimum, mul, sigmoid, sub, sum, tanh, tensor, wasm, where } from '${url('engine/index.ts')}';
const backend = await wasm({ simd: 'wide', threads: 1, workers: false });
const own = new Evaluator(backend);
const some = (...shape) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), { shape });
const through = (batch, side, channels, filters, kernel, stride = 1) => {
  const [x, w] = [some(batch, side, side, channels), some(kernel, kernel, channels, filters)];
  const y = conv2d(x, w, { padding: (kernel - 1) / 2, stride });
  return [y, ...grad(sum(mul(y, y)), [x, w])];
};
for (const values of [
  through(2, 32, 3, 32, 5), through(64, 8, 32, 64, 5), through(8, 16, 32, 32, 5), through(2, 8, 64, 64, 5),
  through(2, 12, 16, 16, 3), through(8, 32, 16, 16, 3), through(2, 32, 3, 16, 3), through(2, 16, 256, 32, 3),
  through(2, 16, 16, 32, 3, 2), [matmul(some(64, 700), some(700, 64))],
  ...[exp, erf, erfc, tanh, sigmoid].map((f) => [f(some(512))]),
  ...[add, sub, mul, div, maximum, minimum].flatMap((f) => [
    [f(some(512), some(512))], [f(some(512), some(1))], [f(some(1), some(512))],
  ]),
  ...[[some(512), some(512)], [0, some(512)], [some(512), 0]].map(([a, b]) => [where(less(some(512), some(512)), a, b)]),
]) await own.evaluate(values);
process.exit(0);
`;

function url(path: string): string {
  return new URL(`../../${path}`, import.meta.url).href;
}

const why = wideSimdUnavailableReason();
describe.skipIf(why !== null)(`vectors are joined${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test('wherever there are pairs, all of them', async () => {
    const flags = ['--no-liftoff', '--trace-wasm-revectorize', '--no-warnings'];
    const options = { maxBuffer: 2 ** 28 };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...flags, '--input-type=module', '-e', PROGRAM],
      options,
    );
    const functions = stdout
      .split('Begin revec function ')
      .slice(1)
      .map((trace) => ({
        name: trace.slice(0, trace.indexOf('\n')),
        joined: Number(/Decided? to vectorize, (\d+) revectorizable nodes/.exec(trace)?.[1] ?? 0),
        apart: trace.split('Build tree failed').length - 1,
      }));
    const joined = functions.filter((one) => one.joined > 0);
    // Micro-kernels and transforms have 30 to 280 such nodes each.
    expect(joined.length).toBeGreaterThanOrEqual(32);
    expect(joined.reduce((sum, one) => sum + one.joined, 0)).toBeGreaterThan(3800);
    // One function has others inside it, which were not written in pairs.
    expect(joined.filter(({ apart }) => apart > 0).length).toBeLessThanOrEqual(1);
  });
});
