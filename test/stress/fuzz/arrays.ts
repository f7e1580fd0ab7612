/** IDX files and NumPy's files: damaged bytes, and headers with random mistakes. */
import { gzipSync, deflateRawSync, crc32 } from 'node:zlib';
import type { HostTensor } from 'cyclegrad';
import { readIdx, readNpy, readNpz } from 'cyclegrad/datasets';
import type { Random } from '../random.ts';
import { claim, claimPrototypeIntact, valueOrRefusal, type FuzzTarget } from './target.ts';
import { damage, joined, utf8 } from './values.ts';

type Read = (view: DataView, at: number, little: boolean) => number;

const READ: Readonly<Record<string, readonly [bytes: number, dtype: string, read: Read]>> = {
  u1: [1, 'u8', (view, at) => view.getUint8(at)],
  i1: [1, 'i32', (view, at) => view.getInt8(at)],
  u2: [2, 'i32', (view, at, little) => view.getUint16(at, little)],
  i2: [2, 'i32', (view, at, little) => view.getInt16(at, little)],
  u4: [4, 'i32', (view, at, little) => view.getUint32(at, little)],
  i4: [4, 'i32', (view, at, little) => view.getInt32(at, little)],
  i8: [8, 'i32', (view, at, little) => Number(view.getBigInt64(at, little))],
  u8: [8, 'i32', (view, at, little) => Number(view.getBigUint64(at, little))],
  f4: [4, 'f32', (view, at, little) => view.getFloat32(at, little)],
  f8: [8, 'f32', (view, at, little) => Math.fround(view.getFloat64(at, little))],
};

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** An array in a file, before anything is damaged. */
interface Original {
  readonly kind: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  readonly little: boolean;
  readonly isFortran: boolean;
}

/** Throws unless a tensor is the array. */
function claimArray({ kind, shape, data, little, isFortran }: Original, tensor: HostTensor): void {
  const [bytes, dtype, read] = READ[kind];
  claim(
    tensor.dtype === dtype && JSON.stringify(tensor.shape) === JSON.stringify(shape),
    () => `read ${tensor.dtype} [${tensor.shape.join()}] for ${kind} [${shape.join()}]`,
  );
  claim(tensor.data.length === sizeOf(shape), () => `${tensor.data.length} elements for [${shape.join()}]`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  tensor.data.forEach((value, i) => {
    // The position of element i in the file.
    let rest = i;
    let at = 0;
    const index = shape.toReversed().map((size) => {
      const position = rest % size;
      rest = Math.floor(rest / size);
      return position;
    });
    if (isFortran) at = index.reduce((sum, position, k) => sum * shape[shape.length - 1 - k] + position, 0);
    else at = i;
    const right = read(view, at * bytes, little);
    claim(
      Object.is(value, right) || (value === 0 && right === 0),
      () => `element ${i} is ${value}, not ${right}`,
    );
  });
}

const randomShape = (random: Random): number[] =>
  Array.from({ length: random.below(4) }, () => random.below(4));

/** Bytes of numbers that any of our dtypes can represent, or any bits. */
function numbers(random: Random, kind: string, shape: readonly number[], little: boolean): Uint8Array {
  const size = READ[kind][0];
  const data = random.bytes(size * sizeOf(shape));
  if (random.uniform() < 0.5) return data;
  for (let i = 0; i < data.length; i++) if (i % size !== (little ? 0 : size - 1)) data[i] = 0;
  return data;
}

const CODES: Readonly<Record<number, string>> = {
  0x08: 'u1',
  0x09: 'i1',
  0x0b: 'i2',
  0x0c: 'i4',
  0x0d: 'f4',
  0x0e: 'f8',
};

async function runIdx(random: Random): Promise<void> {
  const code = Number(random.pick(Object.keys(CODES)));
  const shape = randomShape(random);
  const data = numbers(random, CODES[code], shape, false);
  const header = new Uint8Array(4 + 4 * shape.length);
  header.set([0, 0, code, shape.length]);
  const sizes = shape.map((size) =>
    random.uniform() < 0.03 ? random.pick([0, 1, 2 ** 31, 2 ** 32 - 1]) : size,
  );
  sizes.forEach((size, axis) => new DataView(header.buffer).setUint32(4 + 4 * axis, size));
  let file: Uint8Array = joined(header, data);
  let isDamaged = sizes.some((size, axis) => size !== shape[axis]);
  const hurt = (): void => {
    if (random.uniform() >= 0.35) return;
    file = damage(random, file);
    isDamaged = true;
  };
  hurt();
  if (random.uniform() < 0.4) {
    file = gzipSync(file);
    hurt();
  }
  const read = await valueOrRefusal(['readIdx'], () => readIdx(file));
  claim(isDamaged || read !== undefined || /[48]/.test(CODES[code]), () => 'a right file is refused');
  if (read !== undefined && !isDamaged) {
    claimArray({ kind: CODES[code], shape, data, little: false, isFortran: false }, read);
  }
  if (read !== undefined)
    claim(
      read.data.length === sizeOf(read.shape),
      () => `${read.data.length} elements for [${read.shape.join()}]`,
    );
}

const WRONG_TYPES = [
  '|O',
  '<c8',
  '|S3',
  '<U2',
  '<M8[s]',
  '|V8',
  '<f16',
  '>f3',
  '',
  'f4',
  '=f4',
  '<<f4',
  '<f4x',
  '__proto__',
  'constructor',
  '<b1',
];
const WRONG_SHAPES = [
  '()',
  '(3)',
  '(,)',
  '(2,',
  '(-1,)',
  '(1.5,)',
  '(1e3,)',
  '(True,)',
  '(2L,)',
  '(99999999999999999999,)',
  '[2]',
  '(0, 9007199254740991)',
  '((2,),)',
  '',
];
const WRONG_HEADERS = [
  '',
  '{}',
  '{',
  '[]',
  'None',
  "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }",
  '{'.repeat(5000),
  "{'descr': ".repeat(900),
];

interface NpyFile {
  readonly file: Uint8Array;
  /** Null if the header is wrong in some way. */
  readonly original: Original | null;
}

function npyFile(random: Random): NpyFile {
  const kind = random.pick(Object.keys(READ));
  const little = random.uniform() < 0.7;
  const isFortran = random.uniform() < 0.3;
  const shape = randomShape(random);
  const data = numbers(random, kind, shape, little);
  let isRight = true;
  const orWrong = (right: string, wrong: readonly string[]): string => {
    if (random.uniform() < 0.92) return right;
    isRight = false;
    return random.pick(wrong);
  };
  const order = READ[kind][0] === 1 ? '|' : little ? '<' : '>';
  const entries = [
    `'descr': '${orWrong(order + kind, WRONG_TYPES)}'`,
    `'fortran_order': ${orWrong(isFortran ? 'True' : 'False', ['true', '1', 'None', "'False'"])}`,
    `'shape': ${orWrong(`(${shape.map((size) => `${size},`).join(' ')})`, WRONG_SHAPES)}`,
  ];
  if (random.uniform() < 0.05) {
    entries[random.below(3)] = random.pick(["'x': 1", entries[0], '', "'__proto__': True"]);
    isRight = false;
  }
  if (random.uniform() < 0.2) entries.reverse();
  const text = utf8(
    `${orWrong(`{${entries.join(', ')}, }`, WRONG_HEADERS)}${' '.repeat(random.below(20))}\n`,
  );
  const version = random.uniform() < 0.03 ? random.below(256) : 1 + random.below(3);
  if (version < 1 || version > 3) isRight = false;
  const length = new Uint8Array(version === 1 ? 2 : 4);
  const view = new DataView(length.buffer);
  if (version === 1) view.setUint16(0, text.length, true);
  else view.setUint32(0, text.length, true);
  const file = joined(Uint8Array.of(0x93), utf8('NUMPY'), Uint8Array.of(version, 0), length, text, data);
  // A scalar is in any order, and so is a vector.
  return { file, original: isRight ? { kind, shape, data, little, isFortran } : null };
}

/** A zip archive with these files, as NumPy writes it. */
function zipOf(
  random: Random,
  files: readonly { readonly name: string; readonly content: Uint8Array }[],
): Uint8Array {
  const locals: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let offset = 0;
  for (const { name, content } of files) {
    const method = random.uniform() < 0.5 ? 0 : 8;
    const packed = method === 0 ? content : deflateRawSync(content);
    const text = utf8(name);
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    common.setUint16(4, method, true);
    common.setUint32(10, crc32(content), true);
    common.setUint32(14, packed.length, true);
    common.setUint32(18, content.length, true);
    common.setUint16(22, text.length, true);
    const fields = new Uint8Array(common.buffer);
    const local = joined(utf8('PK\x03\x04'), fields, text, packed);
    const tail = new DataView(new ArrayBuffer(14));
    tail.setUint32(10, offset, true);
    directory.push(
      joined(utf8('PK\x01\x02'), Uint8Array.of(20, 0), fields, new Uint8Array(tail.buffer), text),
    );
    locals.push(local);
    offset += local.length;
  }
  const all = joined(...directory);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, all.length, true);
  end.setUint32(16, offset, true);
  return joined(...locals, all, new Uint8Array(end.buffer));
}

async function runNpz(random: Random): Promise<void> {
  const names = [
    'x.npy',
    'y.npy',
    'arr_0.npy',
    '__proto__.npy',
    '../x.npy',
    'constructor.npy',
    'readme.txt',
    '',
  ];
  const files = Array.from({ length: random.below(4) }, () => {
    const name = random.uniform() < 0.8 ? `array ${random.below(1e6)}.npy` : random.pick(names);
    const { file, original } = npyFile(random);
    return { name, content: file, original };
  });
  let file = zipOf(random, files);
  const isDamaged = random.uniform() < 0.4;
  if (isDamaged) file = damage(random, file);
  const read = await valueOrRefusal(['readNpz'], () => readNpz(file));
  if (read === undefined) return;
  for (const { name, original } of files) {
    const tensor = Object.hasOwn(read, name.slice(0, -4)) ? read[name.slice(0, -4)] : undefined;
    // A damaged directory may rename or omit an array. Its numbers have a checksum.
    claim(isDamaged || tensor !== undefined, () => `'${name}' is missing`);
    if (tensor !== undefined && original !== null) claimArray(original, tensor);
  }
}

async function runNpy(random: Random): Promise<void> {
  if (random.uniform() < 0.3) {
    await runNpz(random);
  } else {
    const { file, original } = npyFile(random);
    const isDamaged = random.uniform() < 0.3;
    const bytes = isDamaged ? damage(random, file) : file;
    const read = await valueOrRefusal(['readNpy'], () => readNpy(bytes));
    if (read !== undefined && !isDamaged && original !== null) claimArray(original, read);
    if (read === undefined)
      claim(isDamaged || original === null || /[48]/.test(original.kind), () => 'a right file is refused');
    else
      claim(
        read.data.length === sizeOf(read.shape),
        () => `${read.data.length} elements for [${read.shape.join()}]`,
      );
  }
  claimPrototypeIntact();
}

export const idx: FuzzTarget = { name: 'idx', run: runIdx };
export const npy: FuzzTarget = { name: 'npy', run: runNpy };
