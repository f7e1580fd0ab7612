/**
 * Batch normalization in three modules, forward and backward: two sums of each chunk of rows for every channel, the
 * statistics of each channel from these, and the result. Values are taken from a channel's first one on, and the squares of a
 * chunk about its own mean, so that a mean far from 0 costs no digits.
 */
import type { KernelModule } from '../kernel.ts';
import { bindingsOf, declarationsOf, type Binding, type Variable } from './template.ts';
import { foldWorkgroups } from './fold.ts';

export interface NormSizes {
  readonly rows: number;
  readonly channels: number;
  readonly epsilon: number;
}

export interface BatchNormOptions extends NormSizes {
  /** With inputs gamma and beta after x. */
  readonly affine: boolean;
  /** With something to add, the last input. */
  readonly residual: boolean;
  readonly relu: boolean;
}

export interface BatchNormGradOptions extends NormSizes {
  /** With input gamma after g, x, mean and variance. */
  readonly affine: boolean;
  /** The operand in whose buffer the gradient of x is written. */
  readonly inPlaceOf?: 'g' | 'x' | null;
}

const THREADS = 256;

/** Threads that add up a channel's chunks. */
const MERGE_THREADS = 64;

/** Rows of a chunk for each of its threads, unless there were more than MAX_CHUNKS chunks. */
const ROWS = 16;
const MAX_CHUNKS = 256;

/** How rows are divided: a workgroup is `width` channels wide and `lines` rows high, and loops over the rows of a chunk. */
function chunking({ rows, channels }: NormSizes) {
  const width = Math.min(64, 2 ** Math.ceil(Math.log2(channels)));
  const lines = THREADS / width;
  const chunk = Math.ceil(rows / Math.min(MAX_CHUNKS, Math.ceil(rows / (lines * ROWS))));
  return { width, lines, chunk, parts: Math.ceil(rows / chunk), blocks: Math.ceil(channels / width) };
}

/** What one module writes and another reads. */
type ArrayBinding = Pick<Variable, 'name' | 'binding'> & { readonly type?: Variable['type'] };

/** What is read, then what is written. */
const variablesOf = (
  read: readonly ArrayBinding[],
  written: readonly ArrayBinding[],
): readonly Variable[] => [
  ...read.map((array) => ({ type: 'f32', ...array, access: 'read' }) as const),
  ...written.map((array) => ({ type: 'f32', ...array, access: 'read_write' }) as const),
];

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

/** Two sums over each chunk of each channel: `first` and `second` are the terms of the element at `i`. */
function sumChunks(
  sizes: NormSizes,
  name: string,
  read: readonly ArrayBinding[],
  sums: { readonly setup: string; readonly first: string; readonly between: string; readonly second: string },
): {
  readonly module: KernelModule<Binding>;
  readonly partial: ArrayBinding;
  readonly parts: number;
  readonly chunk: number;
} {
  const { rows, channels } = sizes;
  const { width, lines, chunk, parts, blocks } = chunking(sizes);
  const partial: ArrayBinding = {
    name: 'chunks',
    binding: { scratch: 0, elements: channels * parts * 2 },
    type: 'vec2<f32>',
  };
  const variables = variablesOf(read, [partial]);
  const add = (what: string): string => `sum = 0.0;
  if (inside) {
    for (var r = first + thread / ${width}u; r < last; r += ${lines}u) { let i = r * ${channels}u + channel; sum += ${what}; }
  }`;
  const code = `${declarationsOf(variables)}
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
  const module = {
    name: `${name}: sums in ${parts} parts`,
    code,
    bindings: bindingsOf(variables),
    workgroups: [parts, blocks, 1] as const,
  };
  return { module, partial, parts, chunk };
}

/** One workgroup for each channel, which adds up the sums of its chunks; `finish` stores the statistics. */
function merge(
  { channels }: NormSizes,
  name: string,
  partial: ArrayBinding,
  parts: number,
  written: readonly ArrayBinding[],
  body: (sumOf: (what: string) => string) => {
    readonly lines: string;
    readonly finish: string;
    readonly helper?: string;
  },
  read: readonly ArrayBinding[] = [],
): KernelModule<Binding> {
  const variables = variablesOf([partial, ...read], written);
  const sumOf = (what: string): string => `sum = 0.0;
  for (var p = thread; p < ${parts}u; p += ${MERGE_THREADS}u) { let chunk = chunks[channel * ${parts}u + p]; sum += ${what}; }`;
  const { lines, finish, helper = '' } = body(sumOf);
  return {
    name: `${name}: statistics`,
    code: `${declarationsOf(variables)}
${totalOver(MERGE_THREADS, 1)}
${helper}
@compute @workgroup_size(${MERGE_THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let channel = group.x;
  var sum = 0.0;
  ${lines}
  if (thread == 0u) { ${finish} }
}
`,
    bindings: bindingsOf(variables),
    workgroups: [channels, 1, 1],
  };
}

/** One thread for each element, or for four neighbors where there are as many channels. */
function map(
  { rows, channels }: NormSizes,
  name: string,
  read: readonly ArrayBinding[],
  result: Binding,
  body: string,
): KernelModule<Binding> {
  const by = channels % 4 === 0 ? 4 : 1;
  const type = by === 4 ? 'vec4<f32>' : 'f32';
  const variables = variablesOf(
    read.map((array) => ({ ...array, type })),
    [{ name: 'result', binding: result, type }],
  );
  const threads = (rows * channels) / by;
  const fold = foldWorkgroups(Math.ceil(threads / THREADS));
  return {
    name: `${name}${by === 4 ? ', by fours' : ''}`,
    code: `${declarationsOf(variables)}
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
    bindings: bindingsOf(variables),
    workgroups: fold.workgroups,
  };
}

/** Channels that one axis of workgroups holds. */
const MAX_CHANNELS = 65_535;

const decimal = (value: number): string => (Number.isInteger(value) ? `${value}.0` : `${value}`);

/** Inputs x [rows, channels], gamma and beta, and what is added; outputs of its shape, mean and variance [channels]. */
export function batchNorm(sizes: BatchNormOptions): readonly KernelModule<Binding>[] | null {
  const { rows, channels, epsilon, affine, residual, relu } = sizes;
  if (channels > MAX_CHANNELS) return null;
  const x: ArrayBinding = { name: 'x', binding: { input: 0 } };
  const mean: ArrayBinding = { name: 'mean', binding: { output: 1 } };
  const variance: ArrayBinding = { name: 'variance', binding: { output: 2 } };
  const { module, partial, parts, chunk } = sumChunks(sizes, 'batchNorm', [x], {
    setup: `let pivot = x[min(channel, ${channels - 1}u)];`,
    first: 'x[i] - pivot',
    between: 'let center = a / f32(last - first);',
    second: '(x[i] - pivot - center) * (x[i] - pivot - center)',
  });
  const statistics = merge(
    sizes,
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
  const parameters: readonly ArrayBinding[] = affine
    ? [
        { name: 'gamma', binding: { input: 1 } },
        { name: 'beta', binding: { input: 2 } },
      ]
    : [];
  const added: readonly ArrayBinding[] = residual
    ? [{ name: 'added', binding: { input: affine ? 3 : 1 } }]
    : [];
  const normal = `(x[i] - mean[c]) / sqrt(variance[c] + ${decimal(epsilon)})`;
  const value = `${normal}${affine ? ' * gamma[c] + beta[c]' : ''}${residual ? ' + added[i]' : ''}`;
  return [
    module,
    statistics,
    map(
      sizes,
      'batchNorm',
      [x, mean, variance, ...parameters, ...added],
      { output: 0 },
      `let value = ${value};
  result[i] = ${relu ? 'select(value, zero, value < zero)' : 'value'};`,
    ),
  ];
}

/** Inputs g and x [rows, channels], mean, variance and gamma [channels]; outputs the gradients of x, gamma and beta. */
export function batchNormGrad(sizes: BatchNormGradOptions): readonly KernelModule<Binding>[] | null {
  const { rows, channels, epsilon, affine, inPlaceOf = null } = sizes;
  if (channels > MAX_CHANNELS) return null;
  const [g, x, mean, variance, gamma] = ['g', 'x', 'mean', 'variance', 'gamma'].map(
    (name, input): ArrayBinding => ({
      name,
      binding: { input },
    }),
  );
  const [products, sums] = ['products', 'gradients'].map((name, i): ArrayBinding => ({
    name,
    binding: { output: 1 + i },
  }));
  const name = 'batchNormGrad';
  const { module, partial, parts } = sumChunks(sizes, name, [g, x, mean], {
    setup: `let center = mean[min(channel, ${channels - 1}u)];`,
    first: 'g[i]',
    between: '',
    second: 'g[i] * (x[i] - center)',
  });
  // One variable for each buffer: an operand in the result's is read through it.
  const own = [g, x].filter((array) => array.name !== inPlaceOf);
  const element = (operand: 'g' | 'x'): string => `${operand === inPlaceOf ? 'result' : operand}[i]`;
  const deviation = (at: string): string => `sqrt(variance[${at}] + ${decimal(epsilon)})`;
  const statistics = merge(
    sizes,
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
    module,
    statistics,
    map(
      sizes,
      name,
      [...own, mean, variance, products, sums, ...(affine ? [gamma] : [])],
      { output: 0 },
      `let deviation = ${deviation('c')};
  let normal = (${element('x')} - mean[c]) / deviation;
  result[i] = ${affine ? 'gamma[c] / deviation' : '1.0 / deviation'} * (${element('g')} - gradients[c] / ${decimal(rows)} - normal * (products[c] / ${decimal(rows)}));`,
    ),
  ];
}
