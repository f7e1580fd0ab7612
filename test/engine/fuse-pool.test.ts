// Convolutions fused with the max pool after them: the same bits as one step after the other, however they are computed.

/* oxlint-disable vitest/expect-expect -- compare asserts */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile, type Compiled } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import {
  add,
  conv2d,
  customGradient,
  f32,
  maxPool2d,
  mul,
  relu,
  reshape,
  sum,
  tensor,
  type Conv2dOptions,
} from '../../engine/ops/index.ts';
import type { PoolOptions } from '../../engine/ops/pool.ts';
import type { FusedName } from '../../engine/plan/fusions/index.ts';
import { stream } from '../../engine/rng.ts';
import { sizeOf, type Pair } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor } from '../../engine/types.ts';
import { expectSameBitsByName } from './compare.ts';

const NEW: readonly FusedName[] = [
  'maxPool2dArgmax',
  'maxPool2dArgmaxGrad',
  'conv2dMaxPool',
  'conv2dMaxPoolGradWeight',
];

/** The same backend without kernels for some fusions. */
const without = (inner: Backend, names: readonly FusedName[]): Backend => ({
  name: inner.name,
  fusions: new Set([...inner.fusions].filter((name) => !names.includes(name))),
  runsPerCall: inner.runsPerCall,
  createStore: (state) => inner.createStore(state),
  load: (plan, store) => inner.load(plan, store),
  close: () => inner.close(),
});

interface Geometry {
  readonly x: readonly [number, number, number, number];
  readonly w: readonly [number, number, number, number];
  readonly conv?: Conv2dOptions;
  readonly kernel: Pair;
  readonly pool: PoolOptions;
}

const CAFFE: PoolOptions = { stride: 2, ceil: true };

/** From 64 images on that are neither small nor large, image by image; the others by way of memory. */
const GEOMETRIES: Readonly<Record<string, Geometry>> = {
  'image by image, Winograd F(4×4, 5×5)': {
    x: [65, 32, 32, 3],
    w: [5, 5, 3, 17],
    conv: { padding: 2 },
    kernel: 3,
    pool: CAFFE,
  },
  'image by image, odd sizes, Winograd for 3×3': {
    x: [64, 31, 29, 3],
    w: [3, 3, 3, 22],
    conv: { padding: 1 },
    kernel: 3,
    pool: CAFFE,
  },
  'image by image, direct, stride 2, padded windows': {
    x: [64, 47, 45, 2],
    w: [3, 3, 2, 34],
    conv: { stride: 2 },
    kernel: 3,
    pool: { stride: 1, padding: 1 },
  },
  'image by image, grouped, windows that leave gaps': {
    x: [64, 33, 33, 4],
    w: [2, 2, 2, 18],
    conv: { groups: 2 },
    kernel: 2,
    pool: { stride: 3 },
  },
  'few images': { x: [5, 15, 17, 3], w: [5, 5, 3, 13], conv: { padding: 2 }, kernel: 3, pool: CAFFE },
  'few images, many channels': {
    x: [3, 13, 14, 21],
    w: [3, 3, 21, 30],
    conv: { padding: 1 },
    kernel: 2,
    pool: { stride: 1, padding: [0, 1, 1, 0] },
  },
  'one tap': { x: [2, 6, 5, 3], w: [1, 1, 3, 4], kernel: 1, pool: { stride: 1 } },
  'a window larger than the image': {
    x: [2, 4, 4, 3],
    w: [3, 3, 3, 5],
    kernel: 3,
    pool: { stride: 2, padding: 1, ceil: true },
  },
  'as many taps as a byte tells apart': {
    x: [2, 20, 22, 2],
    w: [1, 1, 2, 5],
    kernel: [15, 17],
    pool: { stride: 1 },
  },
  'no images': { x: [0, 6, 6, 3], w: [3, 3, 3, 4], kernel: 2, pool: {} },
};

function draw(purpose: string, shape: readonly number[], act: (x: number, i: number) => number): HostTensor {
  const draws = stream(3, purpose);
  return {
    shape,
    dtype: 'f32',
    data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => act(draws.normal(), i)),
  };
}

/** Some images are flat, so that windows have equal maxima; `strange` plants values that are not finite. */
function feedsOf({ x, w }: Geometry, strange: boolean): Record<string, HostTensor> {
  const image = sizeOf(x.slice(1));
  const values = [Number.NaN, Number.POSITIVE_INFINITY, -0, Number.NEGATIVE_INFINITY];
  return {
    x: draw('x', x, (value, i) => {
      if (Math.floor(i / image) % 3 === 1) return 0.25;
      return strange && i % 97 === 13 ? values[i % 4] : value;
    }),
    w: draw('w', w, (value) => value * 0.3),
    b: draw('b', [w[3]], (value) => value * 0.5),
  };
}

type Place = 'no relu' | 'relu before' | 'relu after';
type Name = 'x' | 'w' | 'b';

/** The pool's result, and the gradients of its product with numbers of all kinds. */
function build(backend: Backend, geometry: Geometry, place: Place, wrt: readonly Name[]): Promise<Compiled> {
  const { x, w, conv, kernel, pool } = geometry;
  return compile(backend, {
    inputs: { x: f32(...x), w: f32(...w), b: f32(w[3]) },
    build(inputs) {
      const own = add(conv2d(inputs.x, inputs.w, conv), inputs.b);
      const pooled = maxPool2d(place === 'relu before' ? relu(own) : own, kernel, pool);
      const y = place === 'relu after' ? relu(pooled) : pooled;
      const { data, shape } = draw('g', y.shape, (value) => value);
      const gradients = grad(
        sum(mul(y, tensor(data, { shape }))),
        wrt.map((name) => inputs[name]),
      );
      return { outputs: { y, ...Object.fromEntries(wrt.map((name, i) => [`d ${name}`, gradients[i]])) } };
    },
  });
}

const opsOf = ({ plan }: Compiled): string[] => plan.steps.map(({ op }) => op);

describe('a convolution and the max pool after it', () => {
  let one: Backend;
  let three: Backend;
  let direct: Backend;
  beforeAll(async () => {
    one = await wasm({ threads: 1 });
    three = await wasm({ threads: 3 });
    direct = await wasm({ threads: 2, convolution: 'direct' });
  });
  afterAll(() => Promise.all([one, three, direct].map((backend) => backend.close())));

  /** Runs it on one thread step by step, and fused on one and three: all must give the same bits. */
  async function compare(
    geometry: Geometry,
    place: Place,
    wrt: readonly Name[],
    { strange = false, backends = [one, three] }: { strange?: boolean; backends?: readonly Backend[] } = {},
  ): Promise<Compiled['report'][]> {
    const feeds = feedsOf(geometry, strange);
    const plain = await build(without(backends[0], NEW), geometry, place, wrt);
    const expected = await plain.run(feeds);
    expect(opsOf(plain)).toContain('conv2dBias');
    await plain.close();
    const reports = [plain.report];
    for (const backend of backends) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other, for memory
      const fused = await build(backend, geometry, place, wrt);
      const backward = wrt.includes('x') ? 'maxPool2dArgmaxGrad' : 'conv2dMaxPoolGradWeight';
      const pooling = opsOf(fused).filter((op) => /^relu|MaxPool|maxPool/.test(op));
      expect(pooling).toEqual(wrt.length > 0 ? ['conv2dMaxPool', backward] : ['conv2dMaxPool']);
      // oxlint-disable-next-line no-await-in-loop
      expectSameBitsByName(fused.report.executor, await fused.run(feeds), expected);
      // oxlint-disable-next-line no-await-in-loop
      await fused.close();
      reports.push(fused.report);
    }
    return reports;
  }

  describe.each(Object.entries(GEOMETRIES))('%s', (_, geometry) => {
    it.each(['no relu', 'relu before', 'relu after'] as const)('%s: the same bits', async (place) => {
      await compare(geometry, place, ['w', 'b']);
    });

    it('where the input needs a gradient too', async () => {
      await compare(geometry, 'relu after', ['x', 'w', 'b']);
    });

    it('with values that are not finite', async () => {
      await compare(geometry, 'no relu', ['x'], { strange: true });
      await compare(geometry, 'relu after', ['x'], { strange: true });
    });

    it('without gradients, and without Winograd', async () => {
      await compare(geometry, 'relu after', []);
      await compare(geometry, 'relu after', ['w', 'b'], { backends: [direct] });
    });
  });

  it('keeps the full result and its gradient out of memory', async () => {
    const geometry = GEOMETRIES['image by image, Winograd F(4×4, 5×5)'];
    const full = 65 * 32 * 32 * 17 * 4;
    const [plain, fused] = await compare(geometry, 'relu after', ['w', 'b'], { backends: [one] });
    expect(plain.bytes - fused.bytes).toBeGreaterThan(full);
  });

  it.each([
    ['something else reads the convolution', (own: Tensor) => add(sum(maxPool2d(relu(own), 2)), sum(own))],
    [
      'something else reads its relu',
      (own: Tensor) => {
        const positive = relu(own);
        return add(sum(maxPool2d(positive, 2)), sum(mul(positive, 2)));
      },
    ],
    ['the pool sees another shape', (own: Tensor) => sum(maxPool2d(reshape(own, [2, 50, 8, 3]), 2))],
    ['a byte does not count the taps', (own: Tensor) => sum(maxPool2d(own, [16, 16]))],
  ])('are left alone where %s', async (_, lossOf) => {
    const geometry = { x: [2, 20, 20, 2], w: [3, 3, 2, 3], kernel: 2, pool: {} } as const;
    const make = (backend: Backend): Promise<Compiled> =>
      compile(backend, {
        inputs: { x: f32(...geometry.x), w: f32(...geometry.w), b: f32(3) },
        build({ x, w, b }) {
          const loss = lossOf(add(conv2d(x, w, { padding: 'same' }), b));
          const [dw, db] = grad(loss, [w, b]);
          return { outputs: { loss, dw, db } };
        },
      });
    const feeds = feedsOf(geometry, false);
    const [plain, fused] = [await make(without(one, NEW)), await make(one)];
    expect(opsOf(fused).filter((op) => op.startsWith('conv2dMaxPool'))).toEqual([]);
    expectSameBitsByName('left alone', await fused.run(feeds), await plain.run(feeds));
    await plain.close();
    await fused.close();
  });

  it('keep the derivative of a relu between them where the pool alone is fused', async () => {
    const geometry = { x: [2, 8, 8, 2], w: [3, 3, 2, 3], kernel: 2, pool: {} } as const;
    const make = (names: readonly FusedName[]): Promise<Compiled> =>
      build(without(one, names), geometry, 'relu before', ['w', 'b']);
    const feeds = feedsOf(geometry, false);
    const [plain, fused] = [await make(NEW), await make(['conv2dMaxPool'])];
    expect(opsOf(fused)).toContain('maxPool2dArgmax');
    expectSameBitsByName('pool alone', await fused.run(feeds), await plain.run(feeds));
    await plain.close();
    await fused.close();
  });

  it('keep a derivative of relu that is not the usual one', async () => {
    const straightThrough = customGradient({
      name: 'straight-through relu',
      forward: (x) => relu(x),
      gradient: ({ grad: g }) => [g],
    });
    const make = (backend: Backend): Promise<Compiled> =>
      compile(backend, {
        inputs: { x: f32(2, 7, 7, 2), w: f32(3, 3, 2, 3), b: f32(3) },
        build({ x, w, b }) {
          const y = maxPool2d(straightThrough(add(conv2d(x, w), b)), 2);
          const [dw, db] = grad(sum(y), [w, b]);
          return { outputs: { y, dw, db } };
        },
      });
    const feeds = {
      x: draw('x', [2, 7, 7, 2], (value) => value),
      w: draw('w', [3, 3, 2, 3], (value) => value),
      b: draw('b', [3], (value) => value - 3),
    };
    const plain = await make(without(one, NEW));
    const fused = await make(one);
    const expected = await plain.run(feeds);
    expect(expected['db'].data.every((value) => value !== 0)).toBe(true);
    expectSameBitsByName('straight-through', await fused.run(feeds), expected);
    await plain.close();
    await fused.close();
  });
});
