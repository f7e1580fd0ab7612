// Data in the memory of the backend and data fed batch by batch give the same bytes, whatever augments them.
import { afterAll, expect, test } from 'vitest';
import { broadcastTo, concat, mul, stream, sum, train, wasm, type HostTensor, type Tensor } from 'cyclegrad';
import * as augment from 'cyclegrad/augment';
import { arrays, loader, type LoaderOptions } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { isLong } from '../forms.ts';
import { bytes } from './fixture.ts';

type Augment = NonNullable<LoaderOptions['augment']>;

// Images of more than 255 pixels, which equalize needs.
const [N, H, W, C] = [5, 17, 16, 3];
const backend = await wasm({ threads: 1 });
afterAll(() => backend.close());

const random = stream(1, 'resident');
const numbers = (...shape: readonly number[]): Float32Array =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 256 * random.uniform());
const x = { shape: [N, H, W, C], data: Uint8Array.from(numbers(N, H, W, C)) };
const of = (...shape: number[]): HostTensor => ({
  shape: [N, ...shape],
  dtype: 'f32',
  data: numbers(N, ...shape),
});
/** Corners in order, inside of the image. */
const boxes = of(2, 5);
for (let i = 0; i < boxes.data.length; i += 5) boxes.data.set([1 + i / 50, 2, 4, 4.5, i], i);

const targets = {
  labels: of(4),
  mask: { shape: [N, H, W], dtype: 'i32', data: Int32Array.from(numbers(N, H, W)) },
  image: of(H, W, C),
  boxes,
  points: of(3, 2),
} as const;
type Kind = keyof typeof targets;

const spec = (n: number): nn.ParamSpec => ({ shape: [n], init: nn.init.ones, lrMult: 1, decayMult: 1 });
const PIXELS = H * W * C;

/** A model whose loss is the sum of all numbers of inputs and targets, each with a weight that is trained. */
function weighted(count: number) {
  const sums = {
    params: { x: spec(PIXELS), y: spec(count) },
    config: { kind: 'sums' },
    apply: (pixels: Tensor, scope: nn.Scope) =>
      concat(
        [mul(pixels, scope.param('x')), broadcastTo(scope.param('y'), [pixels.shape[0], count])],
        1,
      ).reshape([pixels.shape[0], PIXELS + count, 1]),
  };
  const loss = (output: Tensor, target: Tensor): Tensor => {
    const y = target.cast('f32').reshape([target.shape[0], count]);
    const of = output.slice([null, { begin: PIXELS }, 0]);
    return sum(output.slice([null, { end: PIXELS }, 0]), 1).add(sum(mul(of, y), 1));
  };
  return { model: nn.sequential({ input: nn.normalize(100), flat: nn.flatten(), sums }), loss };
}

/** The losses and the final bytes of two steps. */
async function trained(kind: Kind, list: Augment, resident: boolean) {
  const data = loader(arrays(x, targets[kind], { targets: kind }), { batchSize: 3, augment: list });
  const own = weighted(targets[kind].data.length / N);
  const events = train({ ...own, data, backend, resident, steps: 2, seed: 7, optimizer: sgd({ lr: 0.5 }) });
  const losses: number[] = [];
  for await (const event of events) if (event.type === 'step') losses.push(event.loss);
  return { losses, state: bytes(events.result().state) };
}

const { crop, flip, rotate, brightness, mixup, cutmix, trivialAugment, randAugment } = augment;
const moving: Readonly<Record<string, Augment>> = {
  'the short form': { crop: 2, flip: true },
  'the short form with mixup': { crop: 2, flip: true, mixup: 1 },
  'a list': [crop(2, { fill: 'reflect' }), rotate(30), brightness(0.4), flip({ direction: 'vertical' })],
  'a policy': [flip(), randAugment({ magnitude: 20 })],
  'a list with mixup': [rotate(30), trivialAugment(), mixup(1)],
  'a list with cutmix': [rotate(30), crop(1), cutmix(1)],
};
const alone: Readonly<Record<string, Augment>> = {
  affine: [augment.affine({ rotate: 20, shear: 10, scale: [0.7, 1.4], translate: 0.1 })],
  alternatingFlip: [augment.alternatingFlip()],
  autoContrast: [augment.autoContrast()],
  brightness: [brightness(0.5)],
  contrast: [augment.contrast(0.5)],
  crop: [crop(2, { fill: 'reflect' })],
  cutmix: [cutmix(1)],
  cutout: [augment.cutout(3)],
  equalize: [augment.equalize()],
  flip: [flip({ direction: 'vertical' })],
  geometric: [
    augment.geometric({ config: { kind: 'up' }, map: (draw) => [1, 0, draw.uniform(), 0, 1, -0.5] }),
  ],
  hue: [augment.hue(0.5)],
  mixup: [mixup(1)],
  posterize: [augment.posterize(3)],
  randAugment: [randAugment()],
  randomErasing: [augment.randomErasing()],
  rotate: [rotate(90)],
  saturation: [augment.saturation(0.5)],
  scale: [augment.scale([0.6, 1.5])],
  sharpness: [augment.sharpness(1)],
  solarize: [augment.solarize(0.5)],
  translate: [augment.translate(0.2)],
  trivialAugment: [trivialAugment()],
};

const cases = [
  ...Object.entries(alone).map(([name, list]) => ['labels', name, list] as const),
  ...Object.entries(moving).flatMap(([name, list]) =>
    (['mask', 'image', 'boxes', 'points'] as const).map((kind) => [kind, name, list] as const),
  ),
].filter(([kind, name]) => !(name === 'a list with cutmix' && (kind === 'boxes' || kind === 'points')));

// The short form of the tests runs a part of them.
const few = cases.filter(([kind], i) => isLong || i % 8 === 0 || (kind === 'mask' && i % 3 === 0));

test('every augmentation is among them', () => {
  expect(Object.keys(alone).sort()).toEqual(Object.keys(augment).sort());
});

test.each(few)('resident and fed data give the same bytes: %s, %s', async (kind, _, list) => {
  const [resident, fed] = [await trained(kind, list, true), await trained(kind, list, false)];
  expect(resident).toEqual(fed);
  expect(resident.losses.every(Number.isFinite)).toBe(true);
  const plain = await trained(kind, [], true);
  expect(resident.state['sums.x']).not.toBe(plain.state['sums.x']);
  // Labels stay as they are, but mixtures add them in another order.
  expect(kind === 'labels' || resident.state['sums.y'] !== plain.state['sums.y']).toBe(true);
});
