// Augmentations compute what torchvision computes. See generate-torchvision.py for torchvision.json.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { reference, wasm, augmentedBatch, type HostTensor } from 'cyclegrad';
import {
  autoContrast,
  equalize,
  hue,
  posterize,
  randAugment,
  sharpness,
  solarize,
  trivialAugment,
  type Augmentation,
  type DrawnExample,
} from 'cyclegrad/augment';
import { loader } from 'cyclegrad/datasets';
import { withTargets } from './fixture.ts';

const { shape, x, cases } = JSON.parse(
  readFileSync(new URL('./torchvision.json', import.meta.url), 'utf8'),
) as {
  readonly shape: readonly number[];
  readonly x: readonly number[];
  readonly cases: readonly { readonly kind: string; readonly args: number[]; readonly y: number[] }[];
};

const always = { probability: 1 };

/** A random stream that draws given integers. */
const drawn = (...values: number[]) => ({ below: () => values.shift()!, uniform: () => 0 }) as never;

const example = { height: shape[1], width: shape[2], index: 0, epoch: 0, seed: 0 };
const sign = (of: number): number => (of === 1 ? 0 : 1);

/** The draws of a policy for one change: its index, its strength and its sign. */
const policies: Readonly<Record<string, (args: readonly number[]) => readonly number[]>> = {
  trivialAugment: ([at, level, of]) => trivialAugment().draw(drawn(at, level, sign(of)), example),
  randAugment: ([at, level, of]) =>
    randAugment({ operations: 1, magnitude: level }).draw(drawn(at, sign(of)), example),
};

/** Cases of augmentations that differ only in their draws, which fit into one batch. */
const drawing = (kind: string, augmentation: Augmentation) => {
  const all = cases.filter((each) => each.kind === kind);
  const rows = all.map(({ args }) => policies[kind]?.(args) ?? args);
  return {
    all,
    augmentation: { ...augmentation, draw: (_: unknown, { index }: DrawnExample) => rows[index] },
  };
};

/** Cases of one augmentation each. */
const single = (kind: string, of: (...args: number[]) => Augmentation) =>
  cases.filter((each) => each.kind === kind).map((each) => ({ all: [each], augmentation: of(...each.args) }));

const batches = [
  drawing('hue', hue(0.5)),
  drawing('sharpness', sharpness(1)),
  ...single('autoContrast', () => autoContrast(always)),
  ...single('equalize', () => equalize(always)),
  ...single('posterize', (bits) => posterize(bits, always)),
  ...single('solarize', (threshold) => solarize(threshold, always)),
  drawing('trivialAugment', trivialAugment({ fill: 0 })),
  drawing('randAugment', randAugment({ operations: 1, fill: 0 })),
];

/** The same image n times. */
function copies(n: number, which: 'bytes' | 'floats'): HostTensor {
  const values = Array.from({ length: n }, () => x).flat();
  const of = { shape: [n, ...shape.slice(1)] };
  return which === 'bytes'
    ? { ...of, dtype: 'u8', data: Uint8Array.from(values) }
    : { ...of, dtype: 'f32', data: Float32Array.from(values, (value) => value / 255) };
}

test.each([
  ['wasm', 'bytes', 1],
  ['wasm', 'floats', 255],
  ['reference', 'bytes', 1],
] as const)('every operation is within 0.002 of a byte: %s, images of %s', async (name, which, scale) => {
  const backend = name === 'wasm' ? await wasm({ threads: 1 }) : reference();
  expect(batches.flatMap(({ all }) => all).length).toBe(cases.length);
  for (const { all, augmentation } of batches) {
    const n = all.length;
    const data = loader(withTargets(copies(n, which)), {
      batchSize: n,
      shuffle: false,
      augment: [augmentation],
    });
    const { x: result } = await augmentedBatch({ data, backend });
    all.forEach(({ kind, args, y }, i) => {
      const actual = result.data.subarray(i * x.length, (i + 1) * x.length);
      const off = y.findIndex((value, j) => !(Math.abs(value - scale * actual[j]) < 0.002));
      expect(off, `${kind} ${args.join(', ')} at ${off}: ${scale * actual[off]}, not ${y[off]}`).toBe(-1);
    });
  }
  await backend.close();
});
