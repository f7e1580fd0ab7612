/**
 * Convolutions as matrix products whose operand is gathered from the image while a tile is loaded, never stored. Forward:
 * pixels × (taps, channels) · filters. Weight gradient: the same gathering, transposed, the sum over pixels cut into parts.
 * Input gradient: each phase of the stride is a forward pass over the gradient with the taps that meet it.
 */
import type { ConvAttrs } from '../../../ops/primitives/conv.ts';
import type { KernelModule } from '../kernel.ts';
import type { Binding, WgslLimits } from './template.ts';
import { gemm, type Operand, type Product } from './gemm.ts';
import { loadOrZero, matrix } from './matmul.ts';
import { chooseTiling, type ProductSize, type Tiling } from './tile.ts';

/** A convolution of one group whose taps are neighbors. */
type Geometry = Pick<ConvAttrs, 'stride' | 'pad' | 'input' | 'kernel' | 'output'>;

export interface ConvSizes {
  readonly images: number;
  readonly channels: number;
  readonly filters: number;
}

type Pair = readonly [number, number];

/**
 * A matrix that is gathered from an image, never stored: for grid position j and tap t, the source pixel `step`·j + `start` + `stride`·t, on both axes.
 * Pixels outside the source are 0.
 */
interface Im2col {
  readonly images: number;
  readonly source: Pair;
  readonly channels: number;
  readonly grid: Pair;
  readonly taps: Pair;
  readonly step: Pair;
  readonly start: Pair;
  readonly stride: Pair;
}

/** A coordinate that no tap or step moves back into the image. */
const OUTSIDE = -(2 ** 29);

/** The matrix as an operand: rows are grid positions and the sum goes over taps and channels, or with `byTap` the other way. */
function im2col(g: Im2col, byTap: boolean, binding: Binding): Operand {
  const vectors = g.channels % 4 === 0;
  const positions = g.images * g.grid[0] * g.grid[1];
  const terms = g.taps[0] * g.taps[1] * g.channels;
  const at = `u32(p.x + (y * ${g.source[1]} + x) * ${g.channels} + t.z)`;
  const helpers = `
fn positionOf(i: u32) -> vec4<i32> {
  let image = i / ${g.grid[0] * g.grid[1]}u;
  let row = i32(i / ${g.grid[1]}u % ${g.grid[0]}u) * ${g.step[0]} + ${g.start[0]};
  let column = i32(i % ${g.grid[1]}u) * ${g.step[1]} + ${g.start[1]};
  return vec4<i32>(
    i32(image * ${g.source[0] * g.source[1] * g.channels}u), select(${OUTSIDE}, row, i < ${positions}u), column, 0);
}
fn tapOf(i: u32) -> vec4<i32> {
  let tap = i / ${g.channels}u;
  let row = i32(tap / ${g.taps[1]}u) * ${g.stride[0]};
  let column = i32(tap % ${g.taps[1]}u) * ${g.stride[1]};
  return vec4<i32>(select(${OUTSIDE}, row, i < ${terms}u), column, i32(i % ${g.channels}u), 0);
}
fn gather(p: vec4<i32>, t: vec4<i32>) -> ${vectors ? 'vec4<f32>' : 'f32'} {
  let y = p.y + t.x;
  let x = p.z + t.y;
  ${loadOrZero('a', `y >= 0 && y < ${g.source[0]} && x >= 0 && x < ${g.source[1]}`, at, vectors)}
}`;
  return byTap
    ? {
        along: 'across',
        vectors,
        binding,
        helpers,
        origin: 'return tapOf(r);',
        fetch: 'return gather(positionOf(k), p);',
      }
    : {
        along: 'depth',
        vectors,
        binding,
        helpers,
        origin: 'return positionOf(r);',
        fetch: 'return gather(p, tapOf(k));',
      };
}

type Choose = (size: ProductSize) => Tiling | null;

const build = (product: Product, choose: Choose): readonly KernelModule<Binding>[] | null => {
  const tiling = choose(product);
  return tiling === null ? null : gemm(product, tiling);
};

/** What each output pixel of a convolution sees of its input. */
function windowsOf({ stride, pad, input, kernel, output }: Geometry, images: number, channels: number) {
  return {
    images,
    source: input,
    channels,
    grid: output,
    taps: kernel,
    step: stride,
    start: [-pad[0], -pad[2]],
    stride: [1, 1],
  } as const;
}

/** Inputs x [images, H, W, channels], w [KH, KW, channels, filters] and with `bias` that [filters]; output 0. */
export function conv2d(
  attrs: Geometry,
  {
    images,
    channels,
    filters,
    bias = false,
    relu = false,
  }: ConvSizes & { readonly bias?: boolean; readonly relu?: boolean },
  limits: WgslLimits,
  choose: Choose = (size) => chooseTiling(size, limits),
): readonly KernelModule<Binding>[] | null {
  const { kernel, output } = attrs;
  const terms = kernel[0] * kernel[1] * channels;
  return build(
    {
      name: `conv2d${bias ? 'Bias' : ''}${relu ? 'Relu' : ''}`,
      batch: 1,
      m: images * output[0] * output[1],
      n: filters,
      k: terms,
      a: im2col(windowsOf(attrs, images, channels), false, { input: 0 }),
      b: matrix('b', { rows: filters, depth: terms, deep: false }, { input: 1 }),
      output: { output: 0 },
      row: `m * ${filters}u`,
      ...(bias && { bias: { input: 2 } }),
      relu,
    },
    choose,
  );
}

/** Inputs x and g [images, H', W', filters]; output 0 the gradient of w, and with `bias` output 1, the sum of g [filters]. */
export function conv2dGradWeight(
  attrs: Geometry,
  { images, channels, filters, bias = false }: ConvSizes & { readonly bias?: boolean },
  limits: WgslLimits,
  choose: Choose = (size) => chooseTiling(size, limits),
): readonly KernelModule<Binding>[] | null {
  const { kernel, output } = attrs;
  const positions = images * output[0] * output[1];
  return build(
    {
      name: `conv2dGradWeight${bias ? 'Bias' : ''}`,
      batch: 1,
      m: kernel[0] * kernel[1] * channels,
      n: filters,
      k: positions,
      a: im2col(windowsOf(attrs, images, channels), true, { input: 0 }),
      b: matrix('b', { rows: filters, depth: positions, deep: false }, { input: 1 }),
      output: { output: 0 },
      row: `m * ${filters}u`,
      ...(bias && { columnSums: { output: 1 } }),
    },
    choose,
  );
}

/** One axis of a phase: the input pixels first, first + stride, … and the taps that reach them. */
function phasesOf(size: number, kernel: number, stride: number, pad: number) {
  return Array.from({ length: Math.min(stride, size) }, (_, first) => {
    const tap = (first + pad) % stride;
    return {
      first,
      pixels: Math.ceil((size - first) / stride),
      tap,
      taps: Math.max(0, Math.ceil((kernel - tap) / stride)),
      start: (first + pad - tap) / stride,
    };
  });
}

/** Inputs g and w; output 0 [images, H, W, channels]. A module for each phase of the stride. */
export function conv2dGradInput(
  { stride, pad, input, kernel, output }: Geometry,
  { images, channels, filters }: ConvSizes,
  limits: WgslLimits,
  choose: Choose = (size) => chooseTiling(size, limits),
): readonly KernelModule<Binding>[] | null {
  const modules: KernelModule<Binding>[] = [];
  for (const y of phasesOf(input[0], kernel[0], stride[0], pad[0])) {
    for (const x of phasesOf(input[1], kernel[1], stride[1], pad[2])) {
      const terms = y.taps * x.taps * filters;
      const grid: Pair = [y.pixels, x.pixels];
      const row = `(m / ${x.pixels}u % ${y.pixels}u * ${stride[0]}u + ${y.first}u) * ${input[1]}u`;
      const phase = build(
        {
          name: 'conv2dGradInput',
          batch: 1,
          m: images * y.pixels * x.pixels,
          n: channels,
          k: terms,
          a: im2col(
            {
              images,
              source: output,
              channels: filters,
              grid,
              taps: [y.taps, x.taps],
              step: [1, 1],
              start: [y.start, x.start],
              stride: [-1, -1],
            },
            false,
            { input: 0 },
          ),
          b: filtersOf(
            { channels, filters, taps: [y.taps, x.taps], kernel, tap: [y.tap, x.tap], stride },
            terms,
            { input: 1 },
          ),
          output: { output: 0 },
          row:
            `((m / ${y.pixels * x.pixels}u) * ${input[0] * input[1]}u + ${row} + ` +
            `m % ${x.pixels}u * ${stride[1]}u + ${x.first}u) * ${channels}u`,
        },
        choose,
      );
      if (phase === null) return null;
      modules.push(...phase);
    }
  }
  return modules;
}

/** w [KH, KW, channels, filters] with a row for each channel, along the taps of a phase and the filters. */
function filtersOf(
  {
    channels,
    filters,
    taps,
    kernel,
    tap,
    stride,
  }: {
    readonly channels: number;
    readonly filters: number;
    readonly taps: Pair;
    readonly kernel: Pair;
    readonly tap: Pair;
    readonly stride: Pair;
  },
  terms: number,
  binding: Binding,
): Operand {
  const vectors = filters % 4 === 0;
  const at = `(((own / ${taps[1]}u * ${stride[0]}u + ${tap[0]}u) * ${kernel[1]}u + own % ${taps[1]}u * ${stride[1]}u + ${tap[1]}u) * ${channels}u + u32(p.x)) * ${filters}u + k % ${filters}u`;
  return {
    along: 'depth',
    vectors,
    binding,
    origin: `return vec4<i32>(i32(r), select(0, 1, r < ${channels}u), 0, 0);`,
    fetch: `let own = k / ${filters}u;
  ${loadOrZero('b', `p.y != 0 && k < ${terms}u`, at, vectors)}`,
  };
}
