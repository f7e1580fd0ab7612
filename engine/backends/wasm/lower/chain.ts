/** Operations on each element: alone with any broadcasting, or in chains, whose strips of scratch memory lie between them. */
import { BackendError } from '../../../errors.ts';
import type { ChainAttrs } from '../../../plan/fusions/elementwise.ts';
import { broadcastStrides, elementBytes, mergeAxes, sizeOf } from '../../../shape.ts';
import type { DType, TensorType } from '../../../types.ts';
import type { StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';
import type { Lower } from './lowering.ts';

/** A dtype, or a mask: 32 bits for each element, all ones where a comparison is true. Masks live inside chains alone. */
type Held = DType | 'mask';

const bytesOf = (held: Held): number => (held === 'mask' ? 4 : elementBytes(held));

/** The module exports the address of each loop as OP_<name>; `_i32`, `_u8`, `_mask` and so on say which operands a loop is for. */
type LoopName = keyof typeof K extends infer N ? (N extends `OP_${infer Name}` ? Name : never) : never;
type ElementwiseName = LoopName extends infer N ? (N extends `${infer Op}_${string}` ? Op : N) : never;

const LOOPS: ReadonlyMap<string, number> = new Map(
  Object.entries(K).flatMap(([name, address]) =>
    name.startsWith('OP_') ? [[name.slice('OP_'.length), address] as const] : [],
  ),
);

/** The loop of an operation on these dtypes; the name alone where one does for all that the operation allows. */
function loopOf(op: string, from: readonly Held[], to: Held): number {
  const last = from[from.length - 1];
  const names = [`${op}_${last}_${to}`, `${op}_${last}`, op];
  const name = [...from, to].includes('mask') ? `${op}_mask` : names.find((each) => LOOPS.has(each));
  const loop = name === undefined ? undefined : LOOPS.get(name);
  if (loop === undefined)
    throw new BackendError(`wasm: there is no kernel for '${op}' of ${from.join(', ')}`);
  return loop;
}

const NO_OPERAND: StructOf<'Elements'> = { address: 0, elementBytes: 0 };

const one =
  (op: string): Lower =>
  ({ inputs, outputs, types, results: [{ shape, dtype }], emit }) => {
    if (sizeOf(shape) === 0) return;
    const [x, y = NO_OPERAND, z = NO_OPERAND] = inputs.map((address, i) => ({
      address,
      elementBytes: elementBytes(types[i].dtype),
    }));
    const none = shape.map(() => 0);
    const [xStrides, yStrides = none, zStrides = none] = types.map((type) =>
      broadcastStrides(type.shape, shape),
    );
    const axes = mergeAxes(shape, [xStrides, yStrides, zStrides]);
    const dtypes = types.map((type) => type.dtype);
    emit('elementwise', {
      loop: loopOf(op, dtypes, dtype),
      out: { address: outputs[0], elementBytes: elementBytes(dtype) },
      x,
      y,
      z,
      axes: axes.map(([size, xStride, yStride, zStride]) => ({ size, xStride, yStride, zStride })),
    });
  };

/** The kernel of each operation that the module has a loop for. */
export const elementwiseKernels = Object.fromEntries(
  [...LOOPS.keys()].map((name) => name.split('_')[0]).map((op) => [op, one(op)]),
) as Readonly<Record<ElementwiseName, Lower>>;

const STRIP_BYTES = K.STRIP * 4;

/**
 * The operands of a chain that are kept as masks: comparisons of floats that only choose between floats. Bytes would be made narrower and
 * wider again, which takes V8 longer than all else.
 */
function masksOf({ program, results }: ChainAttrs, types: readonly TensorType[]): ReadonlySet<number> {
  const dtypeOf = (operand: number): DType => types[operand]?.dtype ?? program[operand - types.length][1];
  const masks = new Set<number>();
  program.forEach(([op, , ...operands], i) => {
    const number = types.length + i;
    if (!LOOPS.has(`${op}_mask`) || op === 'where' || results.includes(number)) return;
    const chooses = program.every(
      ([reader, dtype, ...read]) => !read.includes(number) || (reader === 'where' && dtype === 'f32'),
    );
    if (chooses && operands.every((operand) => dtypeOf(operand) === 'f32')) masks.add(number);
  });
  return masks;
}

export const elementwise: Lower<ChainAttrs> = ({
  inputs,
  outputs,
  types,
  results,
  attrs,
  emit,
  scratchPerThread,
}) => {
  const { program, times, results: exported } = attrs;
  const n = sizeOf(results[0].shape);
  if (n === 0) return;
  const lastUse = new Map<number, number>();
  program.forEach(([, , ...operands], i) => operands.forEach((operand) => lastUse.set(operand, i)));
  const dtypes: Held[] = types.map(({ dtype }) => dtype);
  const masks = masksOf(attrs, types);

  let registers = 0;
  const free: number[] = [];
  const newRegister = (held: Held): StructOf<'ChainOperand'> => ({
    kind: K.OPERAND_REGISTER,
    address: (free.pop() ?? registers++) * STRIP_BYTES,
    elementBytes: bytesOf(held),
  });
  const loads: StructOf<'ChainLoad'>[] = [];
  const operands = inputs.map((address, i): StructOf<'ChainOperand'> => {
    const length = sizeOf(types[i].shape);
    const bytes = bytesOf(dtypes[i]);
    if (length === n) return { kind: K.OPERAND_TENSOR, address, elementBytes: bytes };
    if (length === 1) return { kind: K.OPERAND_SCALAR, address, elementBytes: bytes };
    const register = newRegister(dtypes[i]);
    loads.push({
      x: address,
      length,
      repeats: times[i],
      elementBytes: bytes,
      register: register.address,
    });
    return register;
  });
  const stores: StructOf<'ChainStore'>[] = [];
  const instructions = program.map(([op, dtype, ...numbers], i): StructOf<'ChainInstruction'> => {
    const number = inputs.length + i;
    const held: Held = masks.has(number) ? 'mask' : dtype;
    const result = exported.indexOf(number);
    const [x, y = x, z = x] = numbers.map((operand) => operands[operand]);
    const dying = [...new Set(numbers)].filter((operand) => {
      // Results are stored from their registers at the end of the strip, which must last until then.
      const lasting = exported.includes(operand) && operand >= inputs.length;
      return operands[operand].kind === K.OPERAND_REGISTER && lastUse.get(operand) === i && !lasting;
    });
    // A result may overwrite its operand element by element, but wider elements would run ahead of what is still read.
    const release = (overwritable: boolean): void => {
      for (const operand of dying) {
        const { address, elementBytes: bytes } = operands[operand];
        if (bytes >= bytesOf(held) === overwritable) free.push(address / STRIP_BYTES);
      }
    };
    release(true);
    // Straight to memory, unless an input lies there, which later instructions may still read.
    const direct = result >= 0 && !inputs.includes(outputs[result]);
    const out = direct
      ? { kind: K.OPERAND_TENSOR, address: outputs[result], elementBytes: bytesOf(held) }
      : newRegister(held);
    if (result >= 0 && !direct)
      stores.push({ register: out.address, y: outputs[result], elementBytes: out.elementBytes });
    release(false);
    const from = numbers.map((operand) => dtypes[operand]);
    operands.push(out);
    dtypes.push(held);
    return { loop: loopOf(op, from, held), out, x, y, z };
  });
  const scratch = scratchPerThread(Math.max(1, registers) * STRIP_BYTES);
  emit('chain', { n, scratch, loads, instructions, stores });
};
