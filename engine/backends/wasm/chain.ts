/** Chains of operations on each element: which strips of scratch memory hold what lies between them. */
import { BackendError } from '../../errors.ts';
import type { ChainAttrs } from '../../plan/chain.ts';
import { sizeOf } from '../../shape.ts';
import { K } from './kernels.generated.ts';
import type { Lower } from './site.ts';

/** Codes of the operations on each element: what the kernels for one of them and for chains of them take. */
export const UNARY = {
  neg: K.UNARY_NEG,
  exp: K.UNARY_EXP,
  log: K.UNARY_LOG,
  sqrt: K.UNARY_SQRT,
  tanh: K.UNARY_TANH,
  sigmoid: K.UNARY_SIGMOID,
  relu: K.UNARY_RELU,
} as const;
export const BINARY = {
  add: K.BINARY_ADD,
  sub: K.BINARY_SUB,
  mul: K.BINARY_MUL,
  div: K.BINARY_DIV,
  pow: K.BINARY_POW,
  reluGrad: K.BINARY_RELU_GRAD,
} as const;

type Codes = Readonly<Record<string, number | undefined>>;

/** Two words: a kind, and an address or the offset of a register. */
type Operand = readonly [kind: number, place: number];

const STRIP_BYTES = K.STRIP * 4;

export const elementwise: Lower = ({ inputs, outputs, types, results, attrs, threads, emit, scratch }) => {
  const { program, results: exported } = attrs as ChainAttrs;
  const n = sizeOf(results[0].shape);
  if (n === 0) return;
  const lastUse = new Map<number, number>();
  program.forEach(([, ...operands], i) => operands.forEach((operand) => lastUse.set(operand, i)));

  let registers = 0;
  const free: number[] = [];
  const newRegister = (): Operand => [K.OPERAND_REGISTER, (free.pop() ?? registers++) * STRIP_BYTES];
  const loads: number[][] = [];
  const places: Operand[] = inputs.map((address, i) => {
    const size = sizeOf(types[i].shape);
    if (size === n) return [K.OPERAND_WHOLE, address];
    if (size === 1) return [K.OPERAND_SINGLE, address];
    const register = newRegister();
    loads.push([address, size, register[1]]);
    return register;
  });
  const stores: number[][] = [];
  const instructions = program.map(([op, ...operands], i) => {
    const number = inputs.length + i;
    const result = exported.indexOf(number);
    const [x, y = x] = operands.map((operand) => places[operand]);
    for (const operand of new Set(operands)) {
      const [kind, place] = places[operand];
      // Results are stored from their registers at the end of the strip, which must last until then.
      const lasting = exported.includes(operand) && operand >= inputs.length;
      if (kind === K.OPERAND_REGISTER && lastUse.get(operand) === i && !lasting)
        free.push(place / STRIP_BYTES);
    }
    // Straight to memory, unless an input lies there, which later instructions may still read.
    const direct = result >= 0 && !inputs.includes(outputs[result]);
    const to: Operand = direct ? [K.OPERAND_WHOLE, outputs[result]] : newRegister();
    if (result >= 0 && !direct) stores.push([to[1], outputs[result]]);
    places.push(to);
    const code = (UNARY as Codes)[op] ?? (BINARY as Codes)[op];
    if (code === undefined) throw new BackendError(`wasm: there is no chained kernel for '${op}'`);
    return [op in UNARY ? 0 : 1, code, ...to, ...x, ...y];
  });
  const own = Math.max(1, registers) * STRIP_BYTES;
  const counts = [loads.length, instructions.length, stores.length];
  const words = [...loads, ...instructions, ...stores].flat();
  emit(K.K_CHAIN, n, scratch(threads * own), own, ...counts, ...words);
};
