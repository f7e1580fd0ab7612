/**
 * Batch normalisation in three dispatches, forward and backward: two sums of each chunk of rows for every channel, the
 * statistics of each channel from these, and the result. Values are taken from a channel's first one on, and the squares of a
 * chunk about its own mean, so that a mean far from 0 costs no digits.
 */
import type { Binding, WgslDispatch } from './dispatch.ts';
import { foldWorkgroups } from './fold.ts';

export interface NormSite {
  readonly rows: number;
  readonly channels: number;
  readonly epsilon: number;
}

export interface ForwardSite extends NormSite {
  /** With inputs gamma and beta after x. */
  readonly affine: boolean;
  /** With something to add, the last input. */
  readonly residual: boolean;
  readonly relu: boolean;
}

export interface BackwardSite extends NormSite {
  /** With input gamma after g, x, mean and variance. */
  readonly affine: boolean;
  /** Whether the gradient of x takes the place of g, or of x. */
  readonly inPlaceOf?: 'g' | 'x' | null;
}

const THREADS = 256;

/** Threads that add up a channel's chunks. */
const MERGING = 64;

/** Rows of a chunk for each of its threads, unless that made more chunks than MOST. */
const ROWS = 16;
const MOST = 256;

/** How the rows are shared: a workgroup is `width` channels wide and `lines` rows high, and walks through a chunk. */
function share({ rows, channels }: NormSite) {
  const width = Math.min(64, 2 ** Math.ceil(Math.log2(channels)));
  const lines = THREADS / width;
  const chunk = Math.ceil(rows / Math.min(MOST, Math.ceil(rows / (lines * ROWS))));
  return { width, lines, chunk, parts: Math.ceil(rows / chunk), blocks: Math.ceil(channels / width) };
}

interface Bound {
  readonly name: string;
  readonly binding: Binding;
  readonly type?: string;
}

/** Declarations of what is read, then of what is written. */
function declare(
  read: readonly Bound[],
  written: readonly Bound[],
): { readonly text: string; readonly bindings: readonly Binding[] } {
  const all = [...read, ...written];
  const lines = all.map(
    ({ name, type = 'f32' }, i) =>
      `@group(0) @binding(${i}) var<storage, ${i < read.length ? 'read' : 'read_write'}> ${name}: array<${type}>;`,
  );
  return { text: lines.join('\n'), bindings: all.map(({ binding }) => binding) };
}

/** `total(thread, value)`: the sum over all threads of the same column, of `width`; for all of them. */
const totalOver = (threads: number, width: number): string => `var<workgroup> sums: array<f32, ${threads}>;
fn total(thread: u32, value: f32) -> f32 {
  sums[thread] = value;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half >= ${width}u; half /= 2u) {
    if (thread < half) { sums[thread] += sums[thread + half]; }
    workgroupBarrier();
  }
  let all = sums[thread % ${width}u];
  workgroupBarrier();
  return all;
}`;

/** Two sums of each chunk of each channel, of what `first` and `second` say of the element at `i`. */
function sumChunks(
  site: NormSite,
  name: string,
  read: readonly Bound[],
  sums: { readonly setup: string; readonly first: string; readonly between: string; readonly second: string },
): {
  readonly dispatch: WgslDispatch;
  readonly partial: Bound;
  readonly parts: number;
  readonly chunk: number;
} {
  const { rows, channels } = site;
  const { width, lines, chunk, parts, blocks } = share(site);
  const partial: Bound = {
    name: 'chunks',
    binding: { scratch: 0, elements: channels * parts * 2 },
    type: 'vec2<f32>',
  };
  const { text, bindings } = declare(read, [partial]);
  const add = (what: string): string => `sum = 0.0;
  if (inside) {
    for (var r = first + thread / ${width}u; r < last; r += ${lines}u) { let i = r * ${channels}u + channel; sum += ${what}; }
  }`;
  const code = `${text}
${totalOver(THREADS, width)}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let channel = group.y * ${width}u + thread % ${width}u;
  let inside = channel < ${channels}u;
  let first = group.x * ${chunk}u;
  let last = min(first + ${chunk}u, ${rows}u);
  var sum = 0.0;
  ${sums.setup}
  ${add(sums.first)}
  let a = total(thread, sum);
  ${sums.between}
  ${add(sums.second)}
  let b = total(thread, sum);
  if (inside && thread < ${width}u) { chunks[channel * ${parts}u + group.x] = vec2<f32>(a, b); }
}
`;
  const dispatch = {
    name: `${name}: sums in ${parts} parts`,
    code,
    bindings,
    workgroups: [parts, blocks, 1] as const,
  };
  return { dispatch, partial, parts, chunk };
}

/** One workgroup for each channel, which goes through its chunks and leaves what `finish` says. */
function merge(
  { channels }: NormSite,
  name: string,
  partial: Bound,
  parts: number,
  written: readonly Bound[],
  body: (sumOf: (what: string) => string) => {
    readonly lines: string;
    readonly finish: string;
    readonly helper?: string;
  },
  read: readonly Bound[] = [],
): WgslDispatch {
  const { text, bindings } = declare([partial, ...read], written);
  const sumOf = (what: string): string => `sum = 0.0;
  for (var p = thread; p < ${parts}u; p += ${MERGING}u) { let chunk = chunks[channel * ${parts}u + p]; sum += ${what}; }`;
  const { lines, finish, helper = '' } = body(sumOf);
  return {
    name: `${name}: statistics`,
    code: `${text}
${totalOver(MERGING, 1)}
${helper}
@compute @workgroup_size(${MERGING})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let channel = group.x;
  var sum = 0.0;
  ${lines}
  if (thread == 0u) { ${finish} }
}
`,
    bindings,
    workgroups: [channels, 1, 1],
  };
}

/** One thread for each element, or for four neighbours where there are as many channels. */
function map(
  { rows, channels }: NormSite,
  name: string,
  read: readonly Bound[],
  result: Binding,
  body: string,
): WgslDispatch {
  const by = channels % 4 === 0 ? 4 : 1;
  const type = by === 4 ? 'vec4<f32>' : 'f32';
  const { text, bindings } = declare(
    read.map((bound) => ({ ...bound, type })),
    [{ name: 'result', binding: result, type }],
  );
  const threads = (rows * channels) / by;
  const fold = foldWorkgroups(Math.ceil(threads / THREADS));
  return {
    name: `${name}${by === 4 ? ', by fours' : ''}`,
    code: `${text}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  ${fold.number}
  let i = number * ${THREADS}u + thread;
  if (i >= ${threads}u) { return; }
  let c = i % ${channels / by}u;
  let zero = ${type}();
  ${body}
}
`,
    bindings,
    workgroups: fold.workgroups,
  };
}

/** Channels that one axis of workgroups holds. */
const MOST_CHANNELS = 65_535;

const decimal = (value: number): string => (Number.isInteger(value) ? `${value}.0` : `${value}`);

/** Inputs x [rows, channels], gamma and beta, and what is added; outputs of its shape, mean and variance [channels]. */
export function batchNorm(site: ForwardSite): readonly WgslDispatch[] | null {
  const { rows, channels, epsilon, affine, residual, relu } = site;
  if (channels > MOST_CHANNELS) return null;
  const x: Bound = { name: 'x', binding: { input: 0 } };
  const mean: Bound = { name: 'mean', binding: { output: 1 } };
  const variance: Bound = { name: 'variance', binding: { output: 2 } };
  const { dispatch, partial, parts, chunk } = sumChunks(site, 'batchNorm', [x], {
    setup: `let pivot = x[min(channel, ${channels - 1}u)];`,
    first: 'x[i] - pivot',
    between: 'let center = a / f32(last - first);',
    second: '(x[i] - pivot - center) * (x[i] - pivot - center)',
  });
  const statistics = merge(
    site,
    'batchNorm',
    partial,
    parts,
    [mean, variance],
    (sumOf) => ({
      lines: `${sumOf('chunk.x')}
  let center = total(thread, sum) / ${decimal(rows)};
  ${sumOf('chunk.y + size(p) * (chunk.x / size(p) - center) * (chunk.x / size(p) - center)')}
  let squares = total(thread, sum);`,
      helper: `fn size(p: u32) -> f32 { return f32(min(${chunk}u, ${rows}u - p * ${chunk}u)); }`,
      finish: `mean[channel] = x[channel] + center; variance[channel] = squares / ${decimal(rows)};`,
    }),
    [x],
  );
  const parameters: readonly Bound[] = affine
    ? [
        { name: 'gamma', binding: { input: 1 } },
        { name: 'beta', binding: { input: 2 } },
      ]
    : [];
  const added: readonly Bound[] = residual ? [{ name: 'added', binding: { input: affine ? 3 : 1 } }] : [];
  const normal = `(x[i] - mean[c]) / sqrt(variance[c] + ${decimal(epsilon)})`;
  const value = `${normal}${affine ? ' * gamma[c] + beta[c]' : ''}${residual ? ' + added[i]' : ''}`;
  return [
    dispatch,
    statistics,
    map(
      site,
      'batchNorm',
      [x, mean, variance, ...parameters, ...added],
      { output: 0 },
      `let value = ${value};
  result[i] = ${relu ? 'select(value, zero, value < zero)' : 'value'};`,
    ),
  ];
}

/** Inputs g and x [rows, channels], mean, variance and gamma [channels]; outputs the gradients of x, gamma and beta. */
export function batchNormGrad(site: BackwardSite): readonly WgslDispatch[] | null {
  const { rows, channels, epsilon, affine, inPlaceOf = null } = site;
  if (channels > MOST_CHANNELS) return null;
  const [g, x, mean, variance, gamma] = ['g', 'x', 'mean', 'variance', 'gamma'].map((name, input): Bound => ({
    name,
    binding: { input },
  }));
  const [products, sums] = ['products', 'gradients'].map((name, i): Bound => ({
    name,
    binding: { output: 1 + i },
  }));
  const name = 'batchNormGrad';
  const { dispatch, partial, parts } = sumChunks(site, name, [g, x, mean], {
    setup: `let center = mean[min(channel, ${channels - 1}u)];`,
    first: 'g[i]',
    between: '',
    second: 'g[i] * (x[i] - center)',
  });
  // One binding for each memory: what lies in the result's is read through it.
  const own = [g, x].filter((bound) => bound.name !== inPlaceOf);
  const element = (bound: 'g' | 'x'): string => `${bound === inPlaceOf ? 'result' : bound}[i]`;
  const deviation = (at: string): string => `sqrt(variance[${at}] + ${decimal(epsilon)})`;
  const statistics = merge(
    site,
    name,
    partial,
    parts,
    [products, sums],
    (sumOf) => ({
      lines: `${sumOf('chunk.x')}
  let a = total(thread, sum);
  ${sumOf('chunk.y')}
  let b = total(thread, sum);`,
      finish: `gradients[channel] = a; products[channel] = b / ${deviation('channel')};`,
    }),
    [variance],
  );
  return [
    dispatch,
    statistics,
    map(
      site,
      name,
      [...own, mean, variance, products, sums, ...(affine ? [gamma] : [])],
      { output: 0 },
      `let deviation = ${deviation('c')};
  let normal = (${element('x')} - mean[c]) / deviation;
  result[i] = ${affine ? 'gamma[c] / deviation' : '1.0 / deviation'} * (${element('g')} - gradients[c] / ${decimal(rows)} - normal * (products[c] / ${decimal(rows)}));`,
    ),
  ];
}
