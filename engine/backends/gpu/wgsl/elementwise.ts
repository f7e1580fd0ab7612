/**
 * A chain of operations on each element as one module, however many results it has: each operand is loaded once, four
 * elements at a time where sizes allow. A result may lie in the buffer of an operand of its size.
 */
import { expressionOf } from '../kernels/expressions.ts';
import type { KernelModule } from '../kernel.ts';
import { bindingsOf, declarationsOf, type Binding, type Variable, type WgslLimits } from './template.ts';
import { foldWorkgroups } from './fold.ts';

/** The part of `ChainAttrs` (plan/fusions/elementwise.ts) that a chain of f32 needs. */
export interface FloatProgram {
  readonly program: readonly (readonly [op: string, ...operands: number[]])[];
  readonly results: readonly number[];
}

export interface Chain extends FloatProgram {
  /** Elements of every input: as many as a result has, or as a row of it, or one. */
  readonly sizes: readonly number[];
  /** Elements of a result. */
  readonly n: number;
  /** Buffers of the inputs and results, by number. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

const THREADS = 256;

/** Null where there is no text for an operation, or the chain needs more buffers than a stage has. */
export function elementwise(
  { program, results, sizes, n, inputs, outputs }: Chain,
  { maxStorageBuffersPerShaderStage }: Pick<WgslLimits, 'maxStorageBuffersPerShaderStage'>,
): readonly KernelModule<Binding>[] | null {
  const written = program.map(([op]) => expressionOf(op)?.wgsl);
  if (!written.every((wgsl) => wgsl !== undefined)) return null;
  if (n === 0) return [];
  // One variable for each buffer: an input in the buffer of a result is read through the result's.
  const variableOf = new Map<number, Pick<Variable, 'name' | 'binding' | 'access'>>();
  outputs.forEach((buffer, i) =>
    variableOf.set(buffer, { name: `y${i}`, binding: { output: i }, access: 'read_write' }),
  );
  inputs.forEach((buffer, i) => {
    if (!variableOf.has(buffer)) {
      variableOf.set(buffer, { name: `x${i}`, binding: { input: i }, access: 'read' });
    }
  });
  if (variableOf.size >= maxStorageBuffersPerShaderStage) return null; // a guard may add one

  const width = [n, ...sizes].every((size) => size === 1 || size % 4 === 0) && n > 1 ? 4 : 1;
  const type = width === 4 ? 'vec4<f32>' : 'f32';
  // A single value cannot be loaded as a vector.
  const singles = new Set(inputs.filter((_, i) => sizes[i] === 1));
  const variables = Array.from(variableOf, ([buffer, variable]): Variable => ({
    ...variable,
    type: singles.has(buffer) ? 'f32' : type,
  }));
  const loads = inputs.map((buffer, i) => {
    const { name } = variableOf.get(buffer)!;
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
      code: `${declarationsOf(variables)}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  ${fold.number}
  let i = number * ${THREADS}u + thread;
  if (i >= ${threads}u) { return; }
  let zero = ${type}();
  ${[...loads, ...lines, ...stores].join('\n  ')}
}
`,
      bindings: bindingsOf(variables),
      workgroups: fold.workgroups,
    },
  ];
}
