/** The folder of a run on images: what is in it, and how it is read again. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import nodePath, { dirname, join, relative, resolve, type PlatformPath } from 'node:path';
import { loadMetadata, loadTensors, saveTensors, type State } from '../../engine/index.ts';
import type * as nn from '../../engine/nn/index.ts';
import { classifier } from '../../engine/zoo/index.ts';
import { UsageError } from '../failure.ts';
import { shellWord, type Host } from '../host.ts';
import type { LogFormat } from '../options/logs.ts';
import type { Settings } from './settings.ts';

/** What a run was started with, in run.json. */
export interface RunRecord {
  readonly version: 1;
  /** The path of the images, relative to the folder of the run. */
  readonly data: string;
  readonly classes: readonly string[];
  readonly settings: Settings;
  /** The highest rate of the cycle. */
  readonly max: number;
  /** The path of the weights that the run began with, relative to the folder of the run. */
  readonly from: string | null;
  /** Formats of `--log`. Default: none. */
  readonly log?: readonly LogFormat[];
}

/** What a model needs besides its weights, in the metadata of model.safetensors. */
export interface ModelRecord {
  readonly model: Settings['model'];
  readonly size: number;
  readonly fit: Settings['fit'];
  readonly classes: readonly string[];
}

const RECORD = 'run.json';
const MODEL = 'model.safetensors';
/** The metadata of a model. */
const METADATA = 'cyclegrad-classifier';

export const recordPath = (dir: string): string => join(dir, RECORD);

export function writeRecord(dir: string, record: RunRecord): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(recordPath(dir), `${JSON.stringify(record, null, 2)}\n`);
}

/** Throws UsageError for a folder that is no run on images. */
export function readRecord(host: Host, dir: string): RunRecord {
  const shown = relative(host.cwd, dir) || '.';
  let record: RunRecord;
  try {
    record = JSON.parse(readFileSync(recordPath(dir), 'utf8')) as RunRecord;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new UsageError(
      `${shown}: ${isMissing ? `there is no ${RECORD}` : `${RECORD} cannot be read: ${(cause as Error).message}`} ` +
        `(pass the folder of a run of ${host.command('train')} PATH)`,
      { cause },
    );
  }
  if (record.version === 1) return record;
  throw new UsageError(
    `${shown}: ${RECORD} has version ${String(record.version)}, but this program reads version 1 (update cyclegrad)`,
  );
}

/** The path from a run folder to `path`, with slashes, so that runs and their data can move to another system. */
export const pathFrom = (dir: string, path: string, system: PlatformPath = nodePath): string =>
  system.relative(dir, path).split(system.sep).join('/');

/** Names that Windows reserves, with any extension. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(?=$|\.)/i;

/** A name as that of a folder on every system. */
export const folderName = (name: string): string =>
  name
    .normalize('NFC')
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^[.-]+|[.]+$/g, '')
    .replace(RESERVED, '$1-') || 'images';

/** The first of runs/NAME, runs/NAME-2, … that does not exist. */
export function freshRunFolder(cwd: string, name: string): string {
  const plain = folderName(name);
  for (let i = 1; ; i++) {
    const dir = resolve(cwd, 'runs', i === 1 ? plain : `${plain}-${i}`);
    if (!existsSync(dir)) return dir;
  }
}

/** A trained classifier of images. */
export interface Trained extends ModelRecord {
  /** Where it was read from: the folder of the run, or the file. */
  readonly path: string;
  readonly layer: nn.Layer;
  readonly state: State;
}

export async function saveModel(
  dir: string,
  record: ModelRecord,
  layer: nn.Layer,
  state: State,
): Promise<void> {
  const weights = Object.fromEntries(Object.keys(layer.params).map((name) => [name, state[name]]));
  await saveTensors(join(dir, MODEL), weights, { metadata: { [METADATA]: JSON.stringify(record) } });
}

/** The model that the metadata of a file describe. Null for other files. */
export function modelIn(metadata: Readonly<Record<string, string>>): ModelRecord | null {
  const text = metadata[METADATA];
  return text === undefined ? null : (JSON.parse(text) as ModelRecord);
}

export const modelPath = (dir: string): string => join(dir, MODEL);

/** The network of a run without its weights. Its statistics are replaced by those of the state. */
export const networkOf = ({ model, size, classes }: ModelRecord, stats: Stats = NO_STATS): nn.Layer =>
  classifier(model, { classes: classes.length, size, ...stats });

interface Stats {
  readonly mean: Float32Array;
  readonly std: Float32Array;
}

const NO_STATS: Stats = { mean: Float32Array.of(0, 0, 0), std: Float32Array.of(1, 1, 1) };

/** The folder of the run that a model belongs to. */
export const runOf = ({ path }: Trained): string => (statSync(path).isDirectory() ? path : dirname(path));

/** Reads the model of a run folder, or a model.safetensors file. Throws UsageError if there is none. */
export async function loadTrained(host: Host, given: string): Promise<Trained> {
  const path = resolve(host.cwd, given);
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const file = isFolder ? modelPath(path) : path;
  if (!existsSync(file)) {
    if (!isFolder)
      throw new UsageError(
        `${given}: there is no such run (pass the folder of a run, for instance runs/pets)`,
      );
    readRecord(host, path);
    throw new UsageError(
      `${given}: the run has not ended, so there is no ${MODEL} (end it: ${host.command('train')} --resume ${shellWord(given)})`,
    );
  }
  const record = modelIn(await loadMetadata(file));
  if (record === null) {
    throw new UsageError(
      `${given}: the file holds weights, but not the classes and the size of the images (pass the folder of a run)`,
    );
  }
  const layer = networkOf(record);
  return { ...record, path, layer, state: await loadTensors(file) };
}
