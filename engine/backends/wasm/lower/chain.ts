/** Operations on each element: alone with any broadcasting, or in chains, whose strips of scratch memory lie between them. */
import { BackendError } from '../../../errors.ts';
import type { ChainAttrs } from '../../../plan/chain.ts';
import { broadcastStrides, elementBytes, mergeAxes, sizeOf } from '../../../shape.ts';
import type { DType } from '../../../types.ts';
import { K } from '../kernels.generated.ts';
import type { Lower } from './site.ts';

/** The module's codes are named after the operations; `_i32`, `_u8` and so on say which dtypes a kernel is for. */
type Codes = { readonly [N in keyof typeof K as N extends `OP_${infer Name}` ? Name : never]: number };
type ElementwiseName = keyof { [N in keyof Codes as N extends `${infer Base}_${string}` ? Base : N]: true };

const CODES: ReadonlyMap<string, number> = new Map(
  Object.entries(K).flatMap(([name, code]) =>
    name.startsWith('OP_') ? [[name.slice('OP_'.length), code] as const] : [],
  ),
);

/** The kernel of an operation on these dtypes; the name alone where one does for all that the operation allows. */
function codeOf(op: string, from: readonly DType[], to: DType): number {
  const last = from[from.length - 1];
  const code = CODES.get(`${op}_${last}_${to}`) ?? CODES.get(`${op}_${last}`) ?? CODES.get(op);
  if (code === undefined)
    throw new BackendError(`wasm: there is no kernel for '${op}' of ${from.join(', ')}`);
  return code;
}

/** Bytes of an element are 1 << shift. */
const shiftOf = (dtype: DType): number => Math.log2(elementBytes(dtype));

const OPERANDS = 3;
const three = <T>(list: readonly T[], none: T): T[] =>
  Array.from({ length: OPERANDS }, (_, i) => list[i] ?? none);

const one =
  (op: string): Lower =>
  ({ inputs, outputs: [to], types, results: [{ shape, dtype }], emitWords }) => {
    if (sizeOf(shape) === 0) return;
    const strides = types.map((type) => broadcastStrides(type.shape, shape));
    const unused = shape.map(() => 0);
    const axes = mergeAxes(shape, three(strides, unused));
    const dtypes = types.map((type) => type.dtype);
    const operands = inputs.map((address, i) => [address, shiftOf(dtypes[i])]);
    const words = [[to, shiftOf(dtype)], ...three(operands, [0, 0]), [axes.length], ...axes].flat();
    emitWords(K.K_ELEMENTWISE, codeOf(op, dtypes, dtype), ...words);
  };

/** The kernel of each operation that the module has a code for. */
export const elementwiseKernels = Object.fromEntries(
  [...CODES.keys()].map((name) => name.split('_')[0]).map((op) => [op, one(op)]),
) as Readonly<Record<ElementwiseName, Lower>>;

/** Three words: a kind, an address or the offset of a register, and the shift of its elements. */
type Operand = readonly [kind: number, place: number, shift: number];

const STRIP_BYTES = K.STRIP * 4;

export const elementwise: Lower<ChainAttrs> = ({
  inputs,
  outputs,
  types,
  results,
  attrs,
  threads,
  emitWords,
  scratch,
}) => {
  const { program, times, results: exported } = attrs;
  const n = sizeOf(results[0].shape);
  if (n === 0) return;
  const lastUse = new Map<number, number>();
  program.forEach(([, , ...operands], i) => operands.forEach((operand) => lastUse.set(operand, i)));
  const dtypes: DType[] = types.map(({ dtype }) => dtype);

  let registers = 0;
  const free: number[] = [];
  const newRegister = (dtype: DType): Operand => [
    K.OPERAND_REGISTER,
    (free.pop() ?? registers++) * STRIP_BYTES,
    shiftOf(dtype),
  ];
  const loads: number[][] = [];
  const places: Operand[] = inputs.map((address, i) => {
    const size = sizeOf(types[i].shape);
    const shift = shiftOf(dtypes[i]);
    if (size === n) return [K.OPERAND_WHOLE, address, shift];
    if (size === 1) return [K.OPERAND_SINGLE, address, shift];
    const register = newRegister(dtypes[i]);
    loads.push([address, size, times[i], shift, register[1]]);
    return register;
  });
  const stores: number[][] = [];
  const instructions = program.map(([op, dtype, ...operands], i) => {
    const number = inputs.length + i;
    const result = exported.indexOf(number);
    const from = operands.map((operand) => places[operand]);
    const dying = [...new Set(operands)].filter((operand) => {
      // Results are stored from their registers at the end of the strip, which must last until then.
      const lasting = exported.includes(operand) && operand >= inputs.length;
      return places[operand][0] === K.OPERAND_REGISTER && lastUse.get(operand) === i && !lasting;
    });
    // A result may overwrite its operand element by element, but wider elements would run ahead of what is still read.
    const release = (overwritable: boolean): void => {
      for (const operand of dying) {
        const [, place, shift] = places[operand];
        if (shift >= shiftOf(dtype) === overwritable) free.push(place / STRIP_BYTES);
      }
    };
    release(true);
    // Straight to memory, unless an input lies there, which later instructions may still read.
    const direct = result >= 0 && !inputs.includes(outputs[result]);
    const to: Operand = direct ? [K.OPERAND_WHOLE, outputs[result], shiftOf(dtype)] : newRegister(dtype);
    if (result >= 0 && !direct) stores.push([to[1], outputs[result], shiftOf(dtype)]);
    release(false);
    places.push(to);
    const code = codeOf(
      op,
      operands.map((operand) => dtypes[operand]),
      dtype,
    );
    dtypes.push(dtype);
    return [code, ...to, ...three(from, from[0]).flat()];
  });
  const own = Math.max(1, registers) * STRIP_BYTES;
  const counts = [loads.length, instructions.length, stores.length];
  const words = [...loads, ...instructions, ...stores].flat();
  emitWords(K.K_CHAIN, n, scratch(threads * own), own, ...counts, ...words);
};
