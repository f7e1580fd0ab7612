/**
 * Checkpoints: everything that a run needs to resume with the same results. A file is written atomically, and digests verify every
 * byte when it is read.
 */
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import type { Report } from '../backends/report.ts';
import { CheckpointError, DamagedFileError } from '../errors.ts';
import { typedArrayName } from '../host.ts';
import { nodeFiles, readFrom, replaceFile, type Files, type Source } from '../files.ts';
import type { LayerConfig } from '../nn/layer.ts';
import type { OptimizerConfig } from '../nn/optimizer.ts';
import { checkInteger, checkOptions, checkText, isRecord, show } from '../options.ts';
import type { HostTensor, State } from '../types.ts';
import type { CallbacksRecord } from './callbacks.ts';
import type { ControlsRecord } from './controls.ts';
import type { EvalEvent } from './events.ts';
import type { StepConfig } from './step.ts';
import {
  checkMetadata,
  checkStorable,
  decodeHeader,
  decodeTensors,
  encodeHeader,
  encodeTensors,
  storedBytes,
  type TensorFile,
} from './safetensors.ts';

/** The contents of a checkpoint. */
export interface Checkpoint {
  /** Updates done. */
  readonly step: number;
  /** Total number of updates of the run. */
  readonly steps: number;
  /** The seed of the run. */
  readonly seed: number;
  /** Parameters, statistics and the arrays of the optimizer. */
  readonly state: State;
  /** The config of the model. */
  readonly model: LayerConfig;
  /** The config of the optimizer. */
  readonly optimizer: OptimizerConfig;
  /** The config of the loader, which identifies the order of the data. */
  readonly data: Readonly<Record<string, unknown>>;
  /** A digest of the examples. Null in older checkpoints. */
  readonly examples: string | null;
  /** The report of the backend. */
  readonly report: Report;
  /** The last evaluation. Null without evaluations. */
  readonly last: EvalEvent | null;
  /** The best evaluation. Null without evaluations. */
  readonly best: EvalEvent | null;
  /** What else the rest of the run depends on: its own step, and what callbacks changed. Missing if there is nothing. */
  readonly trainer?: TrainerRecord;
}

/** What a checkpoint stores of the options that open the trainer. Parts that are missing were not used. */
export interface TrainerRecord extends ControlsRecord {
  /** The name and the config of the step, if it is not that of the trainer. */
  readonly step?: StepConfig;
  readonly callbacks?: CallbacksRecord;
}

/** A checkpoint without its arrays. */
type Description = Omit<Checkpoint, 'state'>;

const FORMAT = 'cyclegrad';
/** Version 1 has one digest of everything, or none. Version 2 has one of each array and one of the metadata, and requires them. */
const VERSION = 2;
const PARTS = [
  'step',
  'steps',
  'seed',
  'model',
  'optimizer',
  'data',
  'examples',
  'report',
  'last',
  'best',
  'trainer',
] as const satisfies readonly (keyof Description)[];

/**
 * The path of the checkpoint after `step` updates.
 *
 * @example checkpointPath('runs/clr', 1000) // 'runs/clr/step-00001000.safetensors'
 */
export function checkpointPath(dir: string, step: number): string {
  checkPath('checkpointPath', 'dir', dir);
  checkInteger('checkpointPath', 'step', step, 0);
  return join(dir, `step-${String(step).padStart(8, '0')}.safetensors`);
}

/**
 * The path of the state of the best evaluation (see `CheckpointOptions.best`).
 *
 * @example bestPath('runs/clr') // 'runs/clr/best.safetensors'
 */
export function bestPath(dir: string): string {
  checkPath('bestPath', 'dir', dir);
  return join(dir, 'best.safetensors');
}

/** Throws TypeError unless `path` is a text that is not empty. */
const checkPath = (where: string, name: string, path: unknown): void =>
  checkText(where, name, path, 'the path of a file or folder');

/**
 * Writes a checkpoint as a safetensors file, atomically: a temporary file is flushed to the disk, renamed, and its folder is flushed.
 * Creates missing folders. Training saves its checkpoints itself (see `TrainOptions.checkpoint`). The arrays must not change before the
 * promise resolves.
 *
 * Throws CheckpointError if the file cannot be written. An existing file is then unchanged. Throws TypeError or DataError for arrays
 * that a file cannot store, as `saveTensors` does.
 *
 * @example
 * const checkpoint = await loadCheckpoint('runs/clr/step-00025000.safetensors');
 * await saveCheckpoint('copy.safetensors', checkpoint);
 */
export async function saveCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  checkPath('saveCheckpoint', 'path', path);
  checkOptions('saveCheckpoint', checkpoint, [...PARTS, 'state']);
  await writeCheckpoint(nodeFiles, path, checkpoint);
}

/** `saveCheckpoint` for any file system. */
export async function writeCheckpoint(files: Files, path: string, checkpoint: Checkpoint): Promise<void> {
  await writeTensors(
    files,
    'saveCheckpoint',
    path,
    checkpointFile('saveCheckpoint', checkpoint, files.chunkBytes),
  );
}

/** A checkpoint as the bytes of its file. Throws as `saveCheckpoint` does. */
export function encodeCheckpoint(where: string, checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const file = checkpointFile(where, checkpoint, PIECE_BYTES);
  const pieces = [...encodeTensors(file.tensors, encodeHeader(where, file), PIECE_BYTES)];
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The bytes that are hashed at a time where no file system limits them. */
const PIECE_BYTES = 8 << 20;

/** The contents of the file of a checkpoint, with digests. */
function checkpointFile(where: string, checkpoint: Checkpoint, pieceBytes: number): TensorFile {
  const { state, ...description } = checkpoint;
  checkStorable(where, state);
  checkDescription(where, description);
  const digests = Object.entries(state).map(([name, tensor]) => [
    name,
    digestOfTensor(name, tensor, pieceBytes),
  ]);
  const contents = { format: FORMAT, version: VERSION, ...description, digests: Object.fromEntries(digests) };
  const metadata = Object.fromEntries(
    Object.entries(contents).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : toJson(where, name, value),
    ]),
  );
  return { tensors: state, metadata: { ...metadata, digest: digestOfMetadata(metadata) } };
}

/** Throws RangeError or TypeError for a part that is missing or of another type. What cannot be read is not saved. */
function checkDescription(where: string, description: Description): void {
  for (const name of ['step', 'steps', 'seed'] as const) checkInteger(where, name, description[name], 0);
  for (const name of ['model', 'optimizer', 'data', 'report'] as const) {
    if (!isRecord(description[name])) {
      throw new TypeError(
        `${where}: ${name} must be an object of plain data, got ${show(description[name])}`,
      );
    }
  }
  for (const name of ['last', 'best'] as const) {
    const event: unknown = description[name];
    if (event !== null && !isRecord(event)) {
      throw new TypeError(`${where}: ${name} must be an evaluation or null, got ${show(event)}`);
    }
  }
  const { examples, trainer } = description;
  if (trainer !== undefined && !isRecord(trainer)) {
    throw new TypeError(`${where}: trainer must be an object of plain data, got ${show(trainer)}`);
  }
  if (examples !== null && (typeof examples !== 'string' || !/^[0-9a-f]+$/.test(examples))) {
    throw new TypeError(`${where}: examples must be a hexadecimal digest or null, got ${show(examples)}`);
  }
}

/** A part of the description as JSON. Throws TypeError for values that JSON does not have. */
function toJson(where: string, name: string, value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(
      `${where}: ${name} must be plain data: ${(cause as Error).message} (use numbers, strings, arrays and objects)`,
      { cause },
    );
  }
}

export interface SaveTensorsOptions {
  /** Text for other programs, by name, for instance `{ format: 'pt' }`. `loadMetadata` reads it. Default: none. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes arrays as a safetensors file, atomically, for instance the weights of a model for another program. Creates missing folders.
 * A Float64Array of dtype f32 is rounded. The arrays must not change before the promise resolves.
 *
 * Throws CheckpointError if the file cannot be written. Throws TypeError or DataError, before anything is written, for an array whose
 * data does not match its dtype or shape, for a number beyond the range of f32, for the names '__metadata__' and '__proto__', and for
 * metadata that is not text.
 * Source: the safetensors format, https://huggingface.co/docs/safetensors.
 *
 * @example
 * const names = nn.parameters(model).map(({ name }) => name);
 * const weights = Object.fromEntries(names.map((name) => [name, state[name]!]));
 * await saveTensors('weights.safetensors', weights, { metadata: { license: 'CC-BY-4.0' } });
 */
export async function saveTensors(
  path: string,
  tensors: State,
  options: SaveTensorsOptions = {},
): Promise<void> {
  checkPath('saveTensors', 'path', path);
  checkOptions('saveTensors', options, ['metadata']);
  const { metadata = {} } = options;
  checkStorable('saveTensors', tensors);
  checkMetadata('saveTensors', metadata);
  await writeTensors(nodeFiles, 'saveTensors', path, { tensors, metadata });
}

async function writeTensors(files: Files, where: string, path: string, content: TensorFile): Promise<void> {
  const { tensors } = content;
  const header = encodeHeader(where, content);
  try {
    await replaceFile(files, path, encodeTensors(tensors, header, files.chunkBytes));
  } catch (cause) {
    throw new CheckpointError(
      `${path}: cannot be written: ${(cause as Error).message} (is the disk full, or the folder not writable?)`,
      { cause },
    );
  }
}

/**
 * Reads the arrays of a safetensors file, from a path or from its bytes, for instance in a browser. For a checkpoint, they are its state.
 *
 *   F32, F16, BF16, F64 (rounded)           -> f32
 *   I8, I16, U16, I32, U32, I64, U64        -> i32
 *   U8, BOOL                                -> u8
 *
 * Other programs use other names and layouts. The weights of PyTorch's convolutions and linear layers are [out, in, KH, KW] and
 * [out, in]. Here they are [KH, KW, in, out] and [in, out].
 *
 * Throws CheckpointError, with the path, for a file that is missing and for a number beyond the range of its dtype, and
 * DamagedFileError for a file that is truncated or not a safetensors file.
 * Source: the safetensors format, https://huggingface.co/docs/safetensors.
 *
 * @example await fit({ ...options, initial: await loadTensors('weights.safetensors') });
 */
export async function loadTensors(source: string | Uint8Array | ArrayBuffer): Promise<State> {
  return (await readSource('loadTensors', source, decodeTensors)).tensors;
}

/**
 * Reads the metadata of a safetensors file, from a path or from its bytes: text by name. Empty for a file without metadata. The arrays are not read. The fields of a
 * checkpoint are JSON (see docs/files.md).
 *
 * Throws as `loadTensors` does.
 *
 * @example
 * await saveTensors('licensed.safetensors', {}, { metadata: { license: 'CC-BY-4.0' } });
 * (await loadMetadata('licensed.safetensors'))['license'] // 'CC-BY-4.0'
 */
export async function loadMetadata(
  source: string | Uint8Array | ArrayBuffer,
): Promise<Readonly<Record<string, string>>> {
  return (await readSource('loadMetadata', source, decodeHeader)).metadata;
}

/** `readFile` for a path, or for the bytes of a file. */
async function readSource<T>(
  where: string,
  source: string | Uint8Array | ArrayBuffer,
  decode: (where: string, source: Source) => Promise<T>,
): Promise<T> {
  if (typedArrayName(source) === 'Uint8Array') return decode(where, sourceOf(source as Uint8Array));
  if (Object.prototype.toString.call(source) === '[object ArrayBuffer]') {
    return decode(where, sourceOf(new Uint8Array(source as ArrayBuffer)));
  }
  checkPath(where, 'path', source);
  return readFile(nodeFiles, source as string, decode);
}

const sourceOf = (bytes: Uint8Array): Source => ({
  size: bytes.length,
  read(into, position) {
    into.set(bytes.subarray(position, position + into.length));
    return Promise.resolve();
  },
});

async function readFile<T>(
  files: Files,
  path: string,
  decode: (where: string, source: Source) => Promise<T>,
): Promise<T> {
  try {
    return await readFrom(files, path, (source) => decode(path, source));
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError(
      `${path}: cannot be read: ${(cause as Error).message} (is the path right, and the file readable?)`,
      { cause },
    );
  }
}

/** `readFile` for a checkpoint. */
const readOwnFile = <T>(
  files: Files,
  path: string,
  decode: (where: string, source: Source) => Promise<T>,
): Promise<T> => readFile(files, path, (where, source) => decodeOwn(where, source, decode));

/** Decodes a checkpoint. It has only the three types of this program, so an error of another type is damage, too. */
async function decodeOwn<T>(
  where: string,
  source: Source,
  decode: (where: string, source: Source) => Promise<T>,
): Promise<T> {
  try {
    return await decode(where, source);
  } catch (cause) {
    if (!(cause instanceof CheckpointError) || cause instanceof DamagedFileError) throw cause;
    throw new DamagedFileError(cause.message, { cause });
  }
}

/** The SHA-256 of an array with its name, shape and dtype, as hexadecimal digits. */
function digestOfTensor(name: string, tensor: HostTensor, pieceBytes: number): string {
  const hash = createHash('sha256');
  hashTensor(hash, name, tensor, pieceBytes);
  return hash.digest('hex');
}

function hashTensor(hash: Hash, name: string, tensor: HostTensor, pieceBytes: number): void {
  hash.update(JSON.stringify([name, tensor.shape, tensor.dtype]));
  for (const piece of storedBytes(tensor, pieceBytes)) hash.update(piece); // one update takes at most 2 GiB
}

function hashMetadata(hash: Hash, metadata: TensorFile['metadata']): void {
  const { digest: _, ...rest } = metadata;
  hash.update(JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** The SHA-256 of all metadata but `digest`, as hexadecimal digits. It covers the digests of the arrays. */
function digestOfMetadata(metadata: TensorFile['metadata']): string {
  const hash = createHash('sha256');
  hashMetadata(hash, metadata);
  return hash.digest('hex');
}

/** The digest of version 1, of metadata and arrays. */
function digestOfAll({ tensors, metadata }: TensorFile, pieceBytes: number): string {
  const hash = createHash('sha256');
  hashMetadata(hash, metadata);
  for (const name of Object.keys(tensors).sort()) hashTensor(hash, name, tensors[name], pieceBytes);
  return hash.digest('hex');
}

/**
 * Reads a checkpoint. To resume a run, use `resume` of `CheckpointOptions` instead.
 *
 * Throws CheckpointError, with the path, for a file that is missing or of a newer version, and DamagedFileError for a file that is
 * truncated, damaged, or not a checkpoint of this program. The message names the array that is damaged.
 *
 * @example const { state } = await loadCheckpoint('runs/clr/step-00025000.safetensors');
 */
export async function loadCheckpoint(path: string): Promise<Checkpoint> {
  checkPath('loadCheckpoint', 'path', path);
  return readCheckpoint(nodeFiles, path);
}

/** `loadCheckpoint` for any file system. */
export async function readCheckpoint(files: Files, path: string): Promise<Checkpoint> {
  const file = await readOwnFile(files, path, decodeTensors);
  return verifiedCheckpoint(path, file, files.chunkBytes);
}

/** The checkpoint in the bytes of a file. Throws as `loadCheckpoint` does. `where` starts the messages. */
export async function decodeCheckpoint(where: string, bytes: Uint8Array): Promise<Checkpoint> {
  const source: Source = {
    size: bytes.length,
    read: async (into, position) => into.set(bytes.subarray(position, position + into.length)),
  };
  return verifiedCheckpoint(where, await decodeOwn(where, source, decodeTensors), PIECE_BYTES);
}

/** The checkpoint in a file whose digests agree. */
function verifiedCheckpoint(path: string, file: TensorFile, pieceBytes: number): Checkpoint {
  const version = checkFormat(path, file.metadata);
  if (version === 1) verifyAll(path, file, pieceBytes);
  else verifyTensors(path, file, pieceBytes);
  return { state: file.tensors, ...readDescription(path, file.metadata) };
}

/** The description in the metadata of a file. Throws DamagedFileError for a part that is missing or wrong. */
function readDescription(path: string, metadata: TensorFile['metadata']): Description {
  const field = (name: keyof Description): never => fieldOf(path, metadata, name) as never;
  const description: Description = {
    step: field('step'),
    steps: field('steps'),
    seed: field('seed'),
    model: field('model'),
    optimizer: field('optimizer'),
    data: field('data'),
    examples: ['null', undefined].includes(metadata['examples']) ? null : metadata['examples'],
    report: field('report'),
    last: field('last'),
    best: field('best'),
    ...(metadata['trainer'] !== undefined && { trainer: field('trainer') }),
  };
  try {
    checkDescription(path, description);
  } catch (cause) {
    throw new DamagedFileError(`${(cause as Error).message} (the file is damaged)`, { cause });
  }
  return description;
}

/**
 * The number of updates that a checkpoint says it has done. Reads no arrays. Throws as `loadCheckpoint` does for damage outside the
 * arrays.
 */
export async function readStep(files: Files, path: string): Promise<number> {
  const { metadata } = await readOwnFile(files, path, decodeHeader);
  checkFormat(path, metadata);
  return Number(fieldOf(path, metadata, 'step'));
}

function fieldOf(path: string, metadata: TensorFile['metadata'], name: string): unknown {
  try {
    return JSON.parse(metadata[name]);
  } catch (cause) {
    throw new DamagedFileError(
      `${path}: the metadata has no valid '${name}': ${metadata[name]} (the file is damaged)`,
      { cause },
    );
  }
}

/** The version of a checkpoint. Throws unless this program can read it. From version 2 on, the metadata is verified. */
function checkFormat(path: string, metadata: TensorFile['metadata']): 1 | 2 {
  if (metadata['format'] !== FORMAT) {
    throw new DamagedFileError(
      `${path}: the file is not a checkpoint of ${FORMAT}: its metadata has the format ${metadata['format']} ` +
        '(read its arrays with loadTensors)',
    );
  }
  if (metadata['version'] === '1') return 1;
  // Before the version is looked at: it may be what changed.
  verify(path, 'the metadata', metadata['digest'], digestOfMetadata(metadata));
  if (metadata['version'] === String(VERSION)) return 2;
  throw new CheckpointError(
    `${path}: the file has version ${metadata['version']} of the format, but this program reads versions up to ${VERSION} (update cyclegrad)`,
  );
}

/** Checks the digests of version 2. */
function verifyTensors(path: string, { tensors, metadata }: TensorFile, pieceBytes: number): void {
  const digests = fieldOf(path, metadata, 'digests') as Readonly<Record<string, string>>;
  for (const name of Object.keys(digests)) {
    if (tensors[name] === undefined) {
      throw new DamagedFileError(`${path}: '${name}' is missing (the file is damaged)`);
    }
  }
  for (const [name, tensor] of Object.entries(tensors)) {
    verify(path, `'${name}'`, digests[name], digestOfTensor(name, tensor, pieceBytes));
  }
}

/** Checks the digest of version 1, which the first files do not have. */
function verifyAll(path: string, file: TensorFile, pieceBytes: number): void {
  const { digest } = file.metadata;
  if (digest !== undefined) verify(path, 'the file', digest, digestOfAll(file, pieceBytes));
}

function verify(path: string, what: string, saved: string | undefined, now: string): void {
  if (saved === now) return;
  const short = (digest: string | undefined): string =>
    digest === undefined ? 'no digest' : digest.slice(0, 12);
  throw new DamagedFileError(
    `${path}: ${what} changed after saving: its SHA-256 begins with ${short(now)}, but ${short(saved)} was saved (the file is damaged)`,
  );
}
