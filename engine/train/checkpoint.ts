/**
 * Checkpoints: everything that a run needs to go on as if it had not stopped. A file is written whole or not at all,
 * and read with every byte checked.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Report } from '../backends/report.ts';
import { CheckpointError } from '../errors.ts';
import type { LayerConfig } from '../nn/layer.ts';
import type { OptimizerConfig } from '../nn/optimizer.ts';
import type { State } from '../types.ts';
import type { EvalEvent } from './events.ts';
import { checkStorable, decodeTensors, encodeTensors, storedBytes, type TensorFile } from './safetensors.ts';

export interface Checkpoint {
  /** Updates done. */
  readonly step: number;
  /** Updates that the run was to have. */
  readonly steps: number;
  readonly seed: number;
  /** Parameters, statistics and the optimizer's arrays. */
  readonly state: State;
  readonly model: LayerConfig;
  readonly optimizer: OptimizerConfig;
  /** The loader's config: the order of the data. */
  readonly data: Readonly<Record<string, unknown>>;
  /** A digest of its examples; null in checkpoints of before there was one. */
  readonly examples: string | null;
  /** How the backend ran. */
  readonly report: Report;
  readonly last: EvalEvent | null;
  readonly best: EvalEvent | null;
}

const FORMAT = 'cyclegrad';
const VERSION = 1;
const NAME = /^step-(\d{8,})\.safetensors$/;

/** Where the checkpoint after `step` updates belongs: '<dir>/step-00001000.safetensors'. */
export function checkpointPath(dir: string, step: number): string {
  return join(dir, `step-${String(step).padStart(8, '0')}.safetensors`);
}

/** Where the state of the best evaluation belongs: '<dir>/best.safetensors'. */
export const bestPath = (dir: string): string => join(dir, 'best.safetensors');

/**
 * Writes a checkpoint, as a safetensors file: beside its place, flushed to the disk, then renamed onto it. Folders on
 * the way are made. Throws CheckpointError when it cannot be written; what was there before is still there then.
 * Throws TypeError or DataError, as `saveTensors` does, for arrays that a file cannot hold.
 */
export async function saveCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { state, ...about } = checkpoint;
  checkStorable('saveCheckpoint', state);
  const metadata = Object.fromEntries(
    Object.entries({ format: FORMAT, version: VERSION, ...about }).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
  await writeWhole(path, {
    tensors: state,
    metadata: { ...metadata, digest: digestOf({ tensors: state, metadata }) },
  });
}

/**
 * Writes arrays as a safetensors file, whole or not at all, for instance a model's weights for another program. Folders on the
 * way are made. A Float64Array of dtype f32 is rounded. Throws CheckpointError when it cannot be written; TypeError or DataError,
 * before anything is written, for an array whose data is not of its dtype or does not fill its shape, a number beyond f32, and the
 * names '__metadata__' and '__proto__'.
 *
 * @example
 * await saveTensors('weights.safetensors', Object.fromEntries(parameters(model).map(({ name }) => [name, state[name]])));
 */
export async function saveTensors(path: string, tensors: State): Promise<void> {
  checkStorable('saveTensors', tensors);
  await writeWhole(path, { tensors, metadata: {} });
}

/**
 * The arrays of a safetensors file, whoever wrote it: of a checkpoint its state. F32, F16, BF16 and F64 (rounded) become f32; I8, I16,
 * U16, I32, U32, I64 and U64 i32; U8 and BOOL u8. Other programs have other names and layouts: PyTorch's weights are [out, in, KH, KW] and [out, in], ours
 * [KH, KW, in, out] and [in, out].
 *
 * Throws CheckpointError, naming the file, when it is missing, truncated or no safetensors file, or has a number beyond our types.
 *
 * @example await fit({ ...options, initial: await loadTensors('weights.safetensors') });
 */
export async function loadTensors(path: string): Promise<State> {
  return (await readTensors(path)).tensors;
}

async function writeWhole(path: string, content: TensorFile): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const bytes = encodeTensors(content); // at once: the arrays are the caller's
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFlushed(temporary, bytes);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first failure is the one to report
    throw new CheckpointError(
      `${path}: cannot be written: ${(cause as Error).message} (is the disk full, or the folder not writable?)`,
      { cause },
    );
  }
}

/** SHA-256 of all that a checkpoint says: a bit that flipped in its numbers leaves a file that can be read. */
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
 * Reads a checkpoint. Throws CheckpointError, naming the file, when it is missing, truncated, damaged, or no checkpoint
 * of this program.
 *
 * @example const { state } = await loadCheckpoint('runs/clr/step-00025000.safetensors');
 */
export async function loadCheckpoint(path: string): Promise<Checkpoint> {
  const { tensors, metadata } = await readTensors(path);
  if (metadata['format'] !== FORMAT) {
    throw new CheckpointError(
      `${path}: is a safetensors file, but no checkpoint of ${FORMAT}: its metadata has the format ${metadata['format']}`,
    );
  }
  if (metadata['version'] !== String(VERSION)) {
    throw new CheckpointError(
      `${path}: has version ${metadata['version']} of the format, but this program reads version ${VERSION} (update it)`,
    );
  }
  const field = (name: keyof Checkpoint): never => {
    try {
      return JSON.parse(metadata[name]) as never;
    } catch (cause) {
      throw new CheckpointError(`${path}: its metadata has no valid '${name}': ${metadata[name]}`, { cause });
    }
  };
  const checkpoint = {
    state: tensors,
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
  const { digest, ...described } = metadata;
  // Checkpoints of before there were digests have none.
  if (digest !== undefined && digest !== digestOf({ tensors, metadata: described })) {
    throw new CheckpointError(
      `${path}: its contents are not what was saved: their SHA-256 is not the one in its metadata ` +
        `(the file is damaged)`,
    );
  }
  return checkpoint;
}

async function readTensors(path: string): Promise<TensorFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new CheckpointError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  return decodeTensors(path, bytes);
}

/** The checkpoints in a folder by their names, oldest first; none where there is no folder. */
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

/** The checkpoint with the most steps in a folder, or null. */
export async function latestCheckpoint(dir: string): Promise<string | null> {
  return (await listCheckpoints(dir)).at(-1) ?? null;
}

/** Deletes all but the `keep` checkpoints with the most steps. */
export async function pruneCheckpoints(dir: string, keep: number): Promise<void> {
  const old = (await listCheckpoints(dir)).slice(0, -keep);
  await Promise.all(old.map((path) => rm(path, { force: true })));
}
