/**
 * A chain of operations on each element as one dispatch, however many results it has: each operand is loaded once, four
 * elements at a time where sizes allow. A result may lie in the memory of an operand of its size.
 */
import { expressionOf } from '../kernels/expressions.ts';
import type { Binding, WgslDispatch, WgslLimits } from './dispatch.ts';
import { foldWorkgroups } from './fold.ts';

/** What of `ChainAttrs` (plan/fusions/elementwise.ts) a chain of f32 with rows needs. */
export interface FloatChain {
  readonly program: readonly (readonly [op: string, ...operands: number[]])[];
  readonly results: readonly number[];
}

export interface ChainSite extends FloatChain {
  /** Elements of every input: as many as of the results, or of rows of them, or one. */
  readonly sizes: readonly number[];
  /** Elements of a result. */
  readonly n: number;
  /** Memory of the inputs and results, by numbers: equal ones are the same. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

const THREADS = 256;

/** Null where there is no text for an operation, or the chain needs more buffers than a stage has. */
export function elementwise(
  { program, results, sizes, n, inputs, outputs }: ChainSite,
  { maxStorageBuffersPerShaderStage }: Pick<WgslLimits, 'maxStorageBuffersPerShaderStage'>,
): readonly WgslDispatch[] | null {
  const written = program.map(([op]) => expressionOf(op)?.wgsl);
  if (!written.every((wgsl) => wgsl !== undefined)) return null;
  if (n === 0) return [];
  // One binding for each memory: where an input lies in a result's, it is read through the result's.
  const places = new Map<
    number,
    { readonly name: string; readonly binding: Binding; readonly written: boolean }
  >();
  outputs.forEach((place, i) => places.set(place, { name: `y${i}`, binding: { output: i }, written: true }));
  inputs.forEach((place, i) => {
    if (!places.has(place)) places.set(place, { name: `x${i}`, binding: { input: i }, written: false });
  });
  const bound = [...places.values()];
  if (bound.length >= maxStorageBuffersPerShaderStage) return null; // the executor may add one

  const width = [n, ...sizes].every((size) => size === 1 || size % 4 === 0) && n > 1 ? 4 : 1;
  const type = width === 4 ? 'vec4<f32>' : 'f32';
  // A single value cannot be loaded as a vector.
  const singles = new Set(inputs.filter((_, i) => sizes[i] === 1).map((place) => places.get(place)!.name));
  const elementOf = (name: string): string => (singles.has(name) ? 'f32' : type);
  const loads = inputs.map((place, i) => {
    const { name } = places.get(place)!;
    if (sizes[i] === 1) return `let t${i} = ${type}(${name}[0]);`;
    return `let t${i} = ${name}[${sizes[i] === n ? 'i' : `i % ${sizes[i] / width}u`}];`;
  });
  const lines = program.map(([, ...operands], i) => {
    const expression = written[i](...operands.map((operand) => `t${operand}`));
    return `let t${inputs.length + i} = ${expression};`;
  });
  const stores = results.map((number, i) => `y${i}[i] = t${number};`);
  const threads = n / width;
  const fold = foldWorkgroups(Math.ceil(threads / THREADS));
  return [
    {
      name: `chain of ${program.length}${width === 4 ? ', by fours' : ''}`,
      code: `${bound
        .map(
          ({ name, written }, i) =>
            `@group(0) @binding(${i}) var<storage, ${written ? 'read_write' : 'read'}> ${name}: array<${elementOf(name)}>;`,
        )
        .join('\n')}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  ${fold.number}
  let i = number * ${THREADS}u + thread;
  if (i >= ${threads}u) { return; }
  let zero = ${type}();
  ${[...loads, ...lines, ...stores].join('\n  ')}
}
`,
      bindings: bound.map(({ binding }) => binding),
      workgroups: fold.workgroups,
    },
  ];
}
