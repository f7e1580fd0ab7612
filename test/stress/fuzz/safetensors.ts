/** Files of tensors: `loadTensors` and `loadCheckpoint` on damaged files, `saveTensors` and `saveCheckpoint` on wrong states. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  loadCheckpoint,
  loadTensors,
  saveCheckpoint,
  saveTensors,
  type Checkpoint,
  type HostTensor,
  type State,
} from 'cyclegrad';
import type { Random } from '../random.ts';
import { folder } from './folder.ts';
import { claim, claimPrototypeIntact, valueOrRefusal, type FuzzTarget } from './target.ts';
import { damage, define, joined, mutateJson, NUMBERS, randomJson, TEXTS, utf8 } from './values.ts';

/** The types of the format: bytes of an element, our dtype, and an element read with a DataView. */
const TYPES: Readonly<
  Record<string, readonly [bytes: number, dtype: string, at: (view: DataView, offset: number) => number]>
> = {
  F64: [8, 'f32', (view, at) => Math.fround(view.getFloat64(at, true))],
  F32: [4, 'f32', (view, at) => view.getFloat32(at, true)],
  F16: [2, 'f32', (view, at) => half(view.getUint16(at, true))],
  BF16: [2, 'f32', (view, at) => bfloat(view.getUint16(at, true))],
  I64: [8, 'i32', (view, at) => Number(view.getBigInt64(at, true))],
  U64: [8, 'i32', (view, at) => Number(view.getBigUint64(at, true))],
  I32: [4, 'i32', (view, at) => view.getInt32(at, true)],
  U32: [4, 'i32', (view, at) => view.getUint32(at, true)],
  I16: [2, 'i32', (view, at) => view.getInt16(at, true)],
  U16: [2, 'i32', (view, at) => view.getUint16(at, true)],
  I8: [1, 'i32', (view, at) => view.getInt8(at)],
  U8: [1, 'u8', (view, at) => view.getUint8(at)],
  BOOL: [1, 'u8', (view, at) => view.getUint8(at)],
};

function bfloat(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits * 65536);
  return view.getFloat32(0);
}

function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction / 2 ** 24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A right file: header and data. */
function rightFile(random: Random): { readonly header: Record<string, unknown>; readonly data: Uint8Array } {
  const header: Record<string, unknown> = {};
  if (random.uniform() < 0.5) header['__metadata__'] = { format: 'pt', note: random.pick(TEXTS) };
  let end = 0;
  for (let i = random.below(4); i > 0; i--) {
    const dtype = random.pick(Object.keys(TYPES));
    const shape = Array.from({ length: random.below(4) }, () => random.below(4));
    const begin = end;
    end += shape.reduce((a, b) => a * b, 1) * TYPES[dtype][0];
    const entry: Entry = { dtype, shape, data_offsets: [begin, end] };
    header[`array ${i}${random.pick(TEXTS)}`] = entry;
  }
  const data = new Uint8Array(end);
  // Small numbers, which every dtype can represent, or any bits.
  if (random.uniform() < 0.5) data.set(random.bytes(end));
  return { header, data };
}

const KEYS = ['dtype', 'shape', 'data_offsets', '__metadata__', 'array 1', '__proto__', 'constructor'];

/** The JSON text of a header with the mistakes that JSON.stringify cannot make. */
function headerText(random: Random, header: unknown): string {
  const text = JSON.stringify(header);
  switch (random.below(12)) {
    case 0: // a key twice
      return text.replace(/^\{/, '{"array 1":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},');
    case 1:
      return text.replace(/\d+/, random.pick(['1e999', '1e3', '-0', '9007199254740993', '1.0', '01']));
    case 2: {
      const depth = random.pick([10, 1000, 100_000]);
      return '['.repeat(depth) + ']'.repeat(depth);
    }
    case 3:
      return text + random.pick(['\n', '   ', '\t{}', 'x', '\u0000']);
    default:
      return text;
  }
}

function fileOf(random: Random): Uint8Array {
  const { header, data } = rightFile(random);
  const mutated = random.uniform() < 0.6 ? mutateJson(random, header, KEYS) : header;
  const text = utf8(headerText(random, mutated));
  const prefix = new Uint8Array(8);
  const length = random.uniform() < 0.05 ? random.pick([0, 1, 2 ** 40, 2 ** 53]) : text.length;
  new DataView(prefix.buffer).setBigUint64(0, BigInt(length), true);
  const bytes = joined(prefix, text, data);
  return random.uniform() < 0.3 ? damage(random, bytes) : bytes;
}

/** Throws unless `state` is what the file says, read in another way. */
function claimContents(bytes: Uint8Array, state: State): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, Entry>;
  delete header['__metadata__'];
  const names = Object.keys(header);
  claim(
    names.length === Object.keys(state).length,
    () => `the file has the arrays ${names.join()}, but ${Object.keys(state).join()} were read`,
  );
  for (const name of names) {
    const { dtype, shape, data_offsets } = header[name];
    const [size, ours, read] = TYPES[dtype];
    claim(Object.hasOwn(state, name), () => `'${name}' is missing`);
    const tensor = state[name];
    claim(
      tensor.dtype === ours && JSON.stringify(tensor.shape) === JSON.stringify(shape),
      () => `'${name}' is ${tensor.dtype} [${tensor.shape.join()}]`,
    );
    claim(
      tensor.data.length === shape.reduce((a, b) => a * b, 1),
      () => `'${name}' has ${tensor.data.length} elements`,
    );
    tensor.data.forEach((value, i) => {
      const right = read(view, 8 + length + data_offsets[0] + i * size);
      claim(
        Object.is(value, right) || (value === 0 && right === 0),
        () => `'${name}'[${i}] is ${value}, not ${right}`,
      );
    });
  }
}

const path = (): string => join(folder(), 'file.safetensors');

async function readDamaged(random: Random): Promise<void> {
  const bytes = fileOf(random);
  await writeFile(path(), bytes);
  const state = await valueOrRefusal([path()], () => loadTensors(path()));
  if (state !== undefined) claimContents(bytes, state);
  claimPrototypeIntact();
}

const CHECKPOINT: Checkpoint = {
  step: 3,
  steps: 10,
  seed: 1,
  state: { w: { shape: [2], dtype: 'f32', data: Float32Array.of(1, 2) } },
  model: { kind: 'dense', inputs: 2 },
  optimizer: { kind: 'sgd', hyper: { lr: 0.1 } },
  data: { kind: 'loader', batchSize: 2 },
  examples: null,
  report: { backend: 'reference', threads: 1 } as unknown as Checkpoint['report'],
  last: null,
  best: null,
};

async function readDamagedCheckpoint(random: Random): Promise<void> {
  await saveCheckpoint(path(), CHECKPOINT);
  const right = readFileSync(path());
  let bytes: Uint8Array = right;
  if (random.uniform() < 0.5) bytes = damage(random, right);
  else {
    const length = Number(right.readBigUInt64LE(0));
    const header = JSON.parse(right.subarray(8, 8 + length).toString()) as Record<
      string,
      Record<string, string>
    >;
    const metadata = header['__metadata__'];
    const name = random.pick(Object.keys(metadata));
    if (random.uniform() < 0.7) delete metadata['digest'];
    if (random.uniform() < 0.3) delete metadata[name];
    else metadata[name] = random.uniform() < 0.5 ? random.pick(TEXTS) : JSON.stringify(randomJson(random));
    const text = utf8(JSON.stringify(header));
    const prefix = new Uint8Array(8);
    new DataView(prefix.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes = joined(prefix, text, right.subarray(8 + length));
  }
  await writeFile(path(), bytes);
  const read = await valueOrRefusal([path()], () => loadCheckpoint(path()));
  if (read !== undefined) {
    const { step, steps, seed } = read;
    const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
    claim(
      isCount(step) && isCount(steps) && isCount(seed),
      () => `read step ${step}, steps ${steps}, seed ${seed}`,
    );
    for (const part of [read.model, read.optimizer, read.data, read.report] as unknown[]) {
      claim(
        typeof part === 'object' && part !== null && !Array.isArray(part),
        () => `read ${JSON.stringify(read)}`,
      );
    }
    // What is read can be saved again, and reads as the same.
    await saveCheckpoint(path(), read);
    const again = await loadCheckpoint(path());
    claim(
      JSON.stringify(again) === JSON.stringify(read),
      () => `saved again, ${JSON.stringify(read)} is ${JSON.stringify(again)}`,
    );
  }
  claimPrototypeIntact();
}

/** An array as a program might build it: mostly right. */
function randomTensor(random: Random): unknown {
  const shape: unknown[] = Array.from({ length: random.below(3) }, () => random.below(4));
  const size = (shape as number[]).reduce((a, b) => a * b, 1);
  const dtype = random.pick(['f32', 'i32', 'u8']);
  const Kind = { f32: Float32Array, i32: Int32Array, u8: Uint8Array }[dtype]!;
  const tensor: Record<string, unknown> = {
    shape,
    dtype,
    data: Kind.from(Array.from({ length: size }, () => random.pick([...NUMBERS, NaN, Infinity]))),
  };
  switch (random.below(10)) {
    case 0:
      tensor['data'] = random.pick<() => unknown>([
        () => Array.from({ length: size }, () => 1),
        () => new Float64Array(size).fill(random.pick(NUMBERS)),
        () => new BigInt64Array(size),
        () => new DataView(new ArrayBuffer(4 * size)),
        () => Buffer.alloc(size),
        () => new Kind(size + 1),
        () => new Float32Array(new ArrayBuffer(4 * size + 8), 4, size),
        () => new Float32Array(new SharedArrayBuffer(4 * size)),
        () => undefined,
      ])();
      break;
    case 1:
      tensor['shape'] = random.pick<unknown>([
        size,
        String(size),
        [size, NaN],
        [-1],
        [1.5],
        [size, '1'],
        [2 ** 53],
        null,
        [size, 1],
        [[size]],
      ]);
      break;
    case 2:
      tensor['dtype'] = random.pick<unknown>([
        'f16',
        'F32',
        'float32',
        '',
        null,
        undefined,
        '__proto__',
        'constructor',
        0,
      ]);
      break;
    case 3:
      return random.pick<unknown>([
        null,
        undefined,
        1,
        'f32',
        [1, 2],
        new Float32Array(2),
        () => 1,
        Symbol.iterator,
      ]);
    default:
  }
  return tensor;
}

function randomState(random: Random): unknown {
  if (random.uniform() < 0.05) {
    return random.pick<unknown>([
      null,
      undefined,
      1,
      'x',
      [],
      [randomTensor(random)],
      new Map([['a', randomTensor(random)]]),
      () => 1,
    ]);
  }
  const state = {};
  for (let i = random.below(4); i > 0; i--) {
    const name =
      random.uniform() < 0.2 ? random.pick([...TEXTS, '__metadata__', '0', '\udc00']) : `layer${i}.weight`;
    define(state, name, randomTensor(random));
  }
  return state;
}

/** Throws unless two states have the same bytes, after rounding. */
function claimEqual(saved: State, loaded: State): void {
  const names = (state: State): string => JSON.stringify(Object.keys(state).sort());
  claim(names(saved) === names(loaded), () => `saved ${names(saved)} but loaded ${names(loaded)}`);
  for (const [name, { shape, dtype, data }] of Object.entries(saved)) {
    const other: HostTensor = loaded[name];
    claim(
      dtype === other.dtype &&
        JSON.stringify(shape) === JSON.stringify(other.shape) &&
        data.length === other.data.length,
      () => `saved ${name}: ${dtype} [${shape.join()}], loaded ${other.dtype} [${other.shape.join()}]`,
    );
    data.forEach((value, i) => {
      const right = dtype === 'f32' ? Math.fround(value) : value;
      claim(Object.is(right, other.data[i]), () => `saved ${name}[${i}] = ${value}, loaded ${other.data[i]}`);
    });
  }
}

async function saveWrong(random: Random): Promise<void> {
  const state = randomState(random) as State;
  const saved = await valueOrRefusal(['saveTensors', path()], async () => {
    await saveTensors(path(), state);
    return true;
  });
  if (saved === true) claimEqual(state, await loadTensors(path()));
}

async function saveWrongCheckpoint(random: Random): Promise<void> {
  const given = { ...CHECKPOINT, state: random.uniform() < 0.3 ? randomState(random) : CHECKPOINT.state };
  if (random.uniform() < 0.8) {
    const name = random.pick(Object.keys(CHECKPOINT));
    const wrong: unknown =
      random.uniform() < 0.2
        ? random.pick<unknown>([undefined, NaN, Infinity, () => 1, new Map(), 1n])
        : randomJson(random);
    if (random.uniform() < 0.2) delete (given as Record<string, unknown>)[name];
    else define(given, name, wrong);
  }
  const saved = await valueOrRefusal(['saveCheckpoint', path()], async () => {
    await saveCheckpoint(path(), given as Checkpoint);
    return true;
  });
  if (saved !== true) return;
  const { state, ...loaded } = await loadCheckpoint(path());
  claimEqual(given.state as State, state);
  for (const [name, value] of Object.entries(loaded)) {
    const right = JSON.stringify((given as Record<string, unknown>)[name]) ?? 'null';
    claim(JSON.stringify(value) === right, () => `saved ${name} ${right}, loaded ${JSON.stringify(value)}`);
  }
}

const WAYS = [readDamaged, readDamaged, readDamagedCheckpoint, saveWrong, saveWrongCheckpoint];

export const safetensors: FuzzTarget = {
  name: 'safetensors',
  run: (random) => random.pick(WAYS)(random),
};
