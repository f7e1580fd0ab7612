// Doubles the vectors of some functions: of every local of 128 bits they get a second one, and every instruction that
// makes or stores a vector is followed by its twin, on the second locals and on memory 16 bytes further. Where V8 joins
// neighbouring vectors (`--experimental-wasm-revectorize`), it finds the pairs and makes instructions of 256 bits of them.
// A step of the kernels' build, on the compiler's output before it is optimized.
import binaryen from 'assemblyscript/binaryen';

/** @typedef {number} Expression */
/** @typedef {InstanceType<typeof binaryen['Module']>} Module */

// The package's types leave out the classes that read and write expressions.
const untyped = /** @type {any} */ (binaryen);
const { LocalGet, LocalSet, Load, Store, SIMDLoad, Binary, Const } = untyped;

const BYTES = 16;

/**
 * The parts of an expression, in order: for every kind the names of its parts, those in [brackets] a list.
 * @type {ReadonlyMap<number, readonly [string, readonly string[]]>}
 */
const PARTS = new Map([
  [binaryen.BlockId, ['Block', ['[Child]']]],
  [binaryen.IfId, ['If', ['Condition', 'IfTrue', 'IfFalse']]],
  [binaryen.LoopId, ['Loop', ['Body']]],
  [binaryen.BreakId, ['Break', ['Condition', 'Value']]],
  [binaryen.CallId, ['Call', ['[Operand]']]],
  [binaryen.LocalGetId, ['LocalGet', []]],
  [binaryen.LocalSetId, ['LocalSet', ['Value']]],
  [binaryen.GlobalGetId, ['GlobalGet', []]],
  [binaryen.LoadId, ['Load', ['Ptr']]],
  [binaryen.StoreId, ['Store', ['Ptr', 'Value']]],
  [binaryen.ConstId, ['Const', []]],
  [binaryen.UnaryId, ['Unary', ['Value']]],
  [binaryen.BinaryId, ['Binary', ['Left', 'Right']]],
  [binaryen.SelectId, ['Select', ['Condition', 'IfTrue', 'IfFalse']]],
  [binaryen.DropId, ['Drop', ['Value']]],
  [binaryen.ReturnId, ['Return', ['Value']]],
  [binaryen.NopId, ['Nop', []]],
  [binaryen.SIMDTernaryId, ['SIMDTernary', ['A', 'B', 'C']]],
  [binaryen.SIMDShiftId, ['SIMDShift', ['Vec', 'Shift']]],
  [binaryen.SIMDLoadId, ['SIMDLoad', ['Ptr']]],
]);

/**
 * @param {Expression} e
 * @returns {{ part: Expression, replace: (by: Expression) => void }[]}
 */
function partsOf(e) {
  const found = PARTS.get(binaryen.getExpressionId(e));
  if (found === undefined) throw new Error(`widen: there is no rule for ${binaryen.emitText(e)}`);
  const [kind, names] = found;
  const access = untyped[kind];
  return names.flatMap((name) => {
    if (!name.startsWith('[')) {
      const part = access[`get${name}`](e);
      return part === 0 ? [] : [{ part, replace: (by) => access[`set${name}`](e, by) }];
    }
    const one = name.slice(1, -1);
    const count = access[`getNum${one}${one === 'Child' ? 'ren' : 's'}`](e);
    return Array.from({ length: count }, (_, i) => ({
      part: access[`get${one}At`](e, i),
      replace: (/** @type {Expression} */ by) => access[`set${one}At`](e, i, by),
    }));
  });
}

/**
 * Parts before what they are parts of, as they are computed.
 * @param {Expression} e
 * @param {(e: Expression) => void} act
 */
function walkInOrder(e, act) {
  for (const { part } of partsOf(e)) walkInOrder(part, act);
  act(e);
}

/**
 * @param {Expression} e
 * @param {(e: Expression) => void} act
 */
function walk(e, act) {
  act(e);
  for (const { part } of partsOf(e)) walk(part, act);
}

/** Loads of one number into all lanes. */
const SPLATS = [
  binaryen.Load8SplatVec128,
  binaryen.Load16SplatVec128,
  binaryen.Load32SplatVec128,
  binaryen.Load64SplatVec128,
];

/** The wrapper has no function for this. @type {(fn: number, type: number) => number} */
const addVar = untyped['_BinaryenFunctionAddVar'];

const isVector = (/** @type {Expression} */ e) => binaryen.getExpressionType(e) === binaryen.v128;
const indexOf = (/** @type {Expression} */ set) => LocalSet.getIndex(set);
const valueOf = (/** @type {Expression} */ set) => LocalSet.getValue(set);

/**
 * Widens all functions whose name the pattern matches, and returns the last parts of their names. Vectors must not be
 * parameters or results, and no lane may be taken out of one.
 * @param {Module} module
 * @param {RegExp} pattern
 * @returns {string[]}
 */
export function widen(module, pattern) {
  const widened = [];
  for (let i = 0; i < module.getNumFunctions(); i++) {
    const fn = module.getFunctionByIndex(i);
    const { name } = binaryen.getFunctionInfo(fn);
    if (!pattern.test(name)) continue;
    widenFunction(module, fn);
    widened.push(name.slice(name.lastIndexOf('/') + 1));
  }
  return widened;
}

/**
 * @param {Module} module
 * @param {number} fn
 */
function widenFunction(module, fn) {
  const { name, params, results, vars, body } = binaryen.getFunctionInfo(fn);
  const inputs = binaryen.expandType(params);
  if ([...inputs, results].includes(binaryen.v128))
    throw new Error(`widen: ${name} has vectors as parameters or result`);
  const locals = [...inputs, ...vars];

  /** Locals whose vector is the same value in all lanes need no twin. @type {Set<number>} */
  const uniform = new Set(locals.flatMap((type, local) => (type === binaryen.v128 ? [local] : [])));
  const isUniform = (/** @type {Expression} */ e) => {
    let result = true;
    walk(e, (inner) => {
      const id = binaryen.getExpressionId(inner);
      if (id === binaryen.LoadId && isVector(inner)) result = false;
      if (id === binaryen.SIMDLoadId && !SPLATS.includes(SIMDLoad.getOp(inner))) {
        throw new Error(`widen: ${name} loads less than a vector, and not one number into all lanes`);
      }
      if (id === binaryen.LocalGetId && isVector(inner)) {
        result &&= uniform.has(LocalGet.getIndex(inner));
      }
    });
    return result;
  };
  for (let before = -1; before !== uniform.size;) {
    before = uniform.size;
    walk(body, (e) => {
      if (
        binaryen.getExpressionId(e) === binaryen.LocalSetId &&
        isVector(valueOf(e)) &&
        !isUniform(valueOf(e))
      ) {
        uniform.delete(indexOf(e));
      }
    });
  }

  /** @type {Map<number, number>} */
  const twins = new Map();
  locals.forEach((type, local) => {
    if (type === binaryen.v128 && !uniform.has(local)) {
      twins.set(local, addVar(fn, binaryen.v128));
    }
  });
  const twin = (/** @type {number} */ local) => twins.get(local) ?? local;

  /** Locals that keep a number which both halves of a statement are given: a second load would come after the first store. */
  const kept = new Set();
  const keepNumbers = (/** @type {Expression} */ e) => {
    for (const { part, replace } of partsOf(e)) {
      keepNumbers(part);
      if (binaryen.getExpressionId(part) !== binaryen.SIMDLoadId) continue;
      const local = addVar(fn, binaryen.v128);
      kept.add(local);
      replace(module.local.tee(local, part, binaryen.v128));
    }
  };
  const readNumbers = (/** @type {Expression} */ e) => {
    for (const { part, replace } of partsOf(e)) {
      const isKept = binaryen.getExpressionId(part) === binaryen.LocalSetId && kept.has(indexOf(part));
      if (isKept) replace(module.local.get(indexOf(part), binaryen.v128));
      else readNumbers(part);
    }
  };

  /** A copy of a statement that works on the second half, for after the first. */
  const second = (/** @type {Expression} */ original) => {
    keepNumbers(original);
    const copy = module.copyExpression(original);
    readNumbers(copy);
    /** @type {Set<string>} */
    const labels = new Set();
    // A scalar that the statement reads before it sets it would have another value the second time.
    /** @type {Set<number>} */
    const read = new Set();
    walkInOrder(copy, (e) => {
      const id = binaryen.getExpressionId(e);
      if (id === binaryen.LoopId) throw new Error(`widen: ${name} has a loop inside a vector's expression`);
      if (id === binaryen.LocalGetId && !isVector(e)) read.add(LocalGet.getIndex(e));
      if (id === binaryen.LocalSetId && !isVector(valueOf(e)) && read.has(indexOf(e))) {
        throw new Error(`widen: ${name} would count ${indexOf(e)} twice`);
      }
    });
    walk(copy, (e) => {
      const id = binaryen.getExpressionId(e);
      if (id === binaryen.BlockId || id === binaryen.BreakId) {
        // Labels are unique in a function. A block comes before the breaks out of it.
        const { getName, setName } = id === binaryen.BlockId ? untyped.Block : untyped.Break;
        const label = getName(e);
        if (id === binaryen.BlockId && label) labels.add(label);
        if (label && labels.has(label)) setName(e, `${label}+${BYTES}`);
      } else if (id === binaryen.LocalGetId && isVector(e)) {
        LocalGet.setIndex(e, twin(LocalGet.getIndex(e)));
      } else if (id === binaryen.LocalSetId) {
        const local = indexOf(e);
        if (isVector(valueOf(e))) LocalSet.setIndex(e, twin(local));
      } else if (id === binaryen.LoadId && isVector(e)) {
        Load.setOffset(e, Load.getOffset(e) + BYTES);
      } else if (id === binaryen.StoreId) {
        if (!isVector(Store.getValue(e))) throw new Error(`widen: ${name} stores a scalar`);
        Store.setOffset(e, Store.getOffset(e) + BYTES);
      }
    });
    return copy;
  };
  const isDoubled = (/** @type {Expression} */ e) => {
    const id = binaryen.getExpressionId(e);
    if (id === binaryen.StoreId) return isVector(Store.getValue(e));
    return id === binaryen.LocalSetId && isVector(valueOf(e)) && !uniform.has(indexOf(e));
  };
  /** Every statement below that makes or stores a vector, and its twin after it. */
  const double = (/** @type {Expression} */ e) => {
    for (const { part, replace } of partsOf(e)) {
      if (isDoubled(part)) replace(module.block(null, [part, second(part)]));
      else double(part);
    }
  };
  if (isDoubled(body)) throw new Error(`widen: ${name} is a single statement`);
  // What takes vectors in any other way would only see the first half.
  walk(body, (e) => {
    const id = binaryen.getExpressionId(e);
    const takes = partsOf(e).some(({ part }) => isVector(part));
    const known =
      isVector(e) || id === binaryen.LocalSetId || id === binaryen.StoreId || id === binaryen.BreakId;
    if ((takes && !known) || (id === binaryen.CallId && (takes || isVector(e)))) {
      throw new Error(`widen: ${name} does with a vector what cannot be doubled: ${binaryen.emitText(e)}`);
    }
  });
  double(body);
}

/**
 * Moves constants from the addresses of vectors into the instructions, in the exported functions of these names. The optimizer does so
 * for one vector of a pair and not for the other, and V8 looks for pairs at one address.
 * @param {Uint8Array} binary
 * @param {readonly string[]} names
 * @returns {Uint8Array}
 */
export function foldOffsets(binary, names) {
  const module = binaryen.readBinary(binary);
  for (let i = 0; i < module.getNumExports(); i++) {
    const { name, value } = binaryen.getExportInfo(module.getExportByIndex(i));
    if (!names.includes(name)) continue;
    walk(binaryen.getFunctionInfo(module.getFunction(value)).body, (e) => {
      const id = binaryen.getExpressionId(e);
      const isLoad = id === binaryen.LoadId;
      if (!isLoad && id !== binaryen.StoreId) return;
      const access = isLoad ? Load : Store;
      if (!isVector(isLoad ? e : Store.getValue(e))) return;
      const constant = constantOf(access.getPtr(e));
      if (constant === null) return;
      access.setOffset(e, access.getOffset(e) + constant.value);
      access.setPtr(e, constant.rest);
    });
  }
  const result = module.emitBinary();
  module.dispose();
  return result;
}

/**
 * Of an address that is a sum with a constant: that, and the rest.
 * @param {Expression} e
 */
function constantOf(e) {
  if (binaryen.getExpressionId(e) !== binaryen.BinaryId) return null;
  const right = Binary.getRight(e);
  if (binaryen.getExpressionId(right) !== binaryen.ConstId) return null;
  const op = Binary.getOp(e);
  const constant = Const.getValueI32(right);
  const value = op === binaryen.AddInt32 ? constant : op === binaryen.SubInt32 ? -constant : -1;
  return value < 0 ? null : { value, rest: Binary.getLeft(e) };
}
