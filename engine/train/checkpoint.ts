/**
 * Checkpoints: everything that a run needs to resume with the same results. A file is written atomically, and a digest verifies
 * every byte when it is read.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Report } from '../backends/report.ts';
import { CheckpointError } from '../errors.ts';
import type { LayerConfig } from '../nn/layer.ts';
import type { OptimizerConfig } from '../nn/optimizer.ts';
import { checkInteger, checkOptions, checkText, isRecord, show } from '../options.ts';
import type { State } from '../types.ts';
import type { EvalEvent } from './events.ts';
import { checkStorable, decodeTensors, encodeTensors, storedBytes, type TensorFile } from './safetensors.ts';

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
}

/** A checkpoint without its arrays. */
type Description = Omit<Checkpoint, 'state'>;

const FORMAT = 'cyclegrad';
const VERSION = 1;
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
] as const satisfies readonly (keyof Description)[];
const NAME = /^step-(\d{8,})\.safetensors$/;

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
 * Writes a checkpoint as a safetensors file, atomically: a temporary file is flushed to the disk, then renamed. Creates missing
 * folders. Training saves its checkpoints itself (see `TrainOptions.checkpoint`).
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
  const { state, ...description } = checkpoint;
  checkStorable('saveCheckpoint', state);
  checkDescription('saveCheckpoint', description);
  const metadata = Object.fromEntries(
    Object.entries({ format: FORMAT, version: VERSION, ...description }).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : toJson(name, value),
    ]),
  );
  await writeFileAtomically(path, {
    tensors: state,
    metadata: { ...metadata, digest: digestOf({ tensors: state, metadata }) },
  });
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
  const { examples } = description;
  if (examples !== null && (typeof examples !== 'string' || !/^[0-9a-f]+$/.test(examples))) {
    throw new TypeError(`${where}: examples must be a hexadecimal digest or null, got ${show(examples)}`);
  }
}

/** A part of the description as JSON. Throws TypeError for values that JSON does not have. */
function toJson(name: string, value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(
      `saveCheckpoint: ${name} must be plain data: ${(cause as Error).message} (use numbers, strings, arrays and objects)`,
      { cause },
    );
  }
}

/**
 * Writes arrays as a safetensors file, atomically, for instance the weights of a model for another program. Creates missing folders.
 * A Float64Array of dtype f32 is rounded.
 *
 * Throws CheckpointError if the file cannot be written. Throws TypeError or DataError, before anything is written, for an array whose
 * data does not match its dtype or shape, for a number beyond the range of f32, and for the names '__metadata__' and '__proto__'.
 * Source: the safetensors format, https://huggingface.co/docs/safetensors.
 *
 * @example
 * const names = nn.parameters(model).map(({ name }) => name);
 * const weights = Object.fromEntries(names.map((name) => [name, state[name]!]));
 * await saveTensors('weights.safetensors', weights);
 */
export async function saveTensors(path: string, tensors: State): Promise<void> {
  checkPath('saveTensors', 'path', path);
  checkStorable('saveTensors', tensors);
  await writeFileAtomically(path, { tensors, metadata: {} });
}

/**
 * Reads the arrays of a safetensors file. For a checkpoint, they are its state.
 *
 *   F32, F16, BF16, F64 (rounded)           -> f32
 *   I8, I16, U16, I32, U32, I64, U64        -> i32
 *   U8, BOOL                                -> u8
 *
 * Other programs use other names and layouts. The weights of PyTorch's convolutions and linear layers are [out, in, KH, KW] and
 * [out, in]. Here they are [KH, KW, in, out] and [in, out].
 *
 * Throws CheckpointError, with the path, for a file that is missing, truncated or not a safetensors file, and for a number beyond the
 * range of its dtype.
 * Source: the safetensors format, https://huggingface.co/docs/safetensors.
 *
 * @example await fit({ ...options, initial: await loadTensors('weights.safetensors') });
 */
export async function loadTensors(path: string): Promise<State> {
  checkPath('loadTensors', 'path', path);
  return (await readTensors(path)).tensors;
}

async function writeFileAtomically(path: string, content: TensorFile): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const bytes = encodeTensors(content); // before any await: the caller may change the arrays
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFlushed(temporary, bytes);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined); // report the first error
    throw new CheckpointError(
      `${path}: cannot be written: ${(cause as Error).message} (is the disk full, or the folder not writable?)`,
      { cause },
    );
  }
}

/** The SHA-256 of the contents of a checkpoint. Without it, a flipped bit in an array would not be noticed. */
function digestOf({ tensors, metadata }: TensorFile): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1))));
  for (const name of Object.keys(tensors).sort()) {
    const { shape, dtype } = tensors[name];
    hash.update(JSON.stringify([name, shape, dtype])).update(storedBytes(tensors[name]));
  }
  return hash.digest('hex');
}

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Reads a checkpoint. To resume a run, use `resume` of `CheckpointOptions` instead.
 *
 * Throws CheckpointError, with the path, for a file that is missing, truncated, damaged, or not a checkpoint of this program.
 *
 * @example const { state } = await loadCheckpoint('runs/clr/step-00025000.safetensors');
 */
export async function loadCheckpoint(path: string): Promise<Checkpoint> {
  checkPath('loadCheckpoint', 'path', path);
  const { tensors, metadata } = await readTensors(path);
  if (metadata['format'] !== FORMAT) {
    throw new CheckpointError(
      `${path}: the file is not a checkpoint of ${FORMAT}: its metadata has the format ${metadata['format']} ` +
        '(read its arrays with loadTensors)',
    );
  }
  if (metadata['version'] !== String(VERSION)) {
    throw new CheckpointError(
      `${path}: the file has version ${metadata['version']} of the format, but this program reads version ${VERSION} (update cyclegrad)`,
    );
  }
  const description = readDescription(path, metadata);
  const { digest, ...rest } = metadata;
  // Older checkpoints have no digest.
  if (digest !== undefined && digest !== digestOf({ tensors, metadata: rest })) {
    throw new CheckpointError(
      `${path}: the contents changed after saving: their SHA-256 differs from the one in the metadata ` +
        `(the file is damaged)`,
    );
  }
  return { state: tensors, ...description };
}

/** The description in the metadata of a file. Throws CheckpointError for a part that is missing or wrong. */
function readDescription(path: string, metadata: TensorFile['metadata']): Description {
  const field = (name: keyof Description): never => {
    try {
      return JSON.parse(metadata[name]) as never;
    } catch (cause) {
      throw new CheckpointError(
        `${path}: the metadata has no valid '${name}': ${metadata[name]} (the file is damaged)`,
        { cause },
      );
    }
  };
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
  };
  try {
    checkDescription(path, description);
  } catch (cause) {
    throw new CheckpointError(`${(cause as Error).message} (the file is damaged)`, { cause });
  }
  return description;
}

async function readTensors(path: string): Promise<TensorFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new CheckpointError(
      `${path}: cannot be read: ${(cause as Error).message} (is the path right, and the file readable?)`,
      { cause },
    );
  }
  return decodeTensors(path, bytes);
}

/** The paths of the checkpoints in a folder, those with fewer steps first. Empty if there is no folder. */
export async function listCheckpoints(dir: string): Promise<readonly string[]> {
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CheckpointError(`${dir}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const step = (name: string): number => Number(NAME.exec(name)?.[1]);
  return names
    .filter((name) => NAME.test(name))
    .sort((a, b) => step(a) - step(b))
    .map((name) => join(dir, name));
}

/**
 * The path of the checkpoint with the most steps in a folder. Null without checkpoints.
 *
 * Throws CheckpointError if the folder cannot be read.
 *
 * @example
 * const path = await latestCheckpoint('runs/clr');
 * if (path !== null) console.log((await loadCheckpoint(path)).step);
 */
export async function latestCheckpoint(dir: string): Promise<string | null> {
  checkPath('latestCheckpoint', 'dir', dir);
  return (await listCheckpoints(dir)).at(-1) ?? null;
}

/** Deletes all checkpoints except the `keep` ones with the most steps. */
export async function pruneCheckpoints(dir: string, keep: number): Promise<void> {
  const old = (await listCheckpoints(dir)).slice(0, -keep);
  await Promise.all(old.map((path) => rm(path, { force: true })));
}
