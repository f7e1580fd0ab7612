/** Event files for TensorBoard. */
import { hostname } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { DataError, EngineError } from '../../errors.ts';
import { appendBytes, makeFolder, namesIn, nodeFiles, removeFile, type Files } from '../../files.ts';
import { checkInteger, checkOptions, checkText, isPromise, isRecord, show } from '../../options.ts';
import { sizeOf } from '../../shape.ts';
import type { HostTensor } from '../../types.ts';
import type { EndEvent, EvalEvent, Listener, StartEvent, TrainEvent } from '../events.ts';
import {
  endOfSession,
  firstRecords,
  histogramValue,
  imageValue,
  loadProtobuf,
  scalarValue,
  startOfSession,
  summaryRecord,
  textValue,
  type SummaryValue,
} from './event-file.ts';
import { message } from './format.ts';
import { encodePng } from './png.ts';
import { recordInterval, StepMeans, type StepRecord } from './run-record.ts';

export interface TensorBoardOptions {
  /** Additional JSON data about the run, for the tabs Text and HParams. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Steps between points of the training curves, which are means. Default: a thousandth of the run. */
  readonly every?: number;
}

/** A listener that writes event files, and what else a program can write to them during the run. */
export interface TensorBoard extends Listener {
  /** Writes a number. Throws EngineError before the run has started. */
  scalar(name: string, step: number, value: number): Promise<void>;
  /** Writes the distribution of numbers, for instance of a parameter. */
  histogram(name: string, step: number, values: Iterable<number>): Promise<void>;
  /** Writes an image of bytes [H, W, C], C from 1 to 4. */
  image(name: string, step: number, image: HostTensor): Promise<void>;
  /** Writes text, which TensorBoard shows as Markdown. */
  text(name: string, step: number, text: string): Promise<void>;
}

/** The folders of the curves, whose charts TensorBoard overlays because the names are equal. */
const FOLDERS = ['train', 'validation'] as const;
type Folder = (typeof FOLDERS)[number];

/**
 * A listener that writes event files for TensorBoard: `train` and `validation` in the folder `dir`, as Keras does. Both have `loss` and the
 * metrics, so their curves are in one chart. `train` also has the hyperparameters (`hyper/lr`), `examples_per_second`, the configuration as
 * text, and the numbers of `config` for the tab HParams.
 *
 * Training points are means over `every` steps. A new run deletes the event files of these two folders. A resumed run begins new files,
 * after which TensorBoard forgets the points beyond its step. The files are flushed to the disk before each checkpoint.
 *
 * Throws TypeError or RangeError for invalid arguments. The listener throws DataError if it cannot write a file.
 *
 * @example
 * const board = tensorboard('runs/report', { config: { net: 'mlp' } });
 * await fit({ ...options, listeners: [board] });
 */
export function tensorboard(dir: string, options: TensorBoardOptions = {}): TensorBoard {
  checkText('tensorboard', 'dir', dir, 'the path of a folder');
  checkOptions('tensorboard', options, ['config', 'every']);
  const { config, every } = options;
  if (every !== undefined) checkInteger('tensorboard', 'every', every, 1);
  if (config !== undefined && (!isRecord(config) || isPromise(config))) {
    throw new TypeError(`tensorboard: config must be an object of plain data, got ${show(config)}`);
  }
  return tensorboardTo(nodeFiles, dir, options);
}

/** `tensorboard` for any file system, with checked options. */
export function tensorboardTo(files: Files, dir: string, options: TensorBoardOptions): TensorBoard {
  let board: Board | null = null;
  const listener = async (event: TrainEvent): Promise<void> => {
    if (event.type === 'start') board = await Board.open(files, dir, event, options);
    const current = board;
    await current?.take(event);
  };
  const write = async (what: string, step: number, value: SummaryValue): Promise<void> => {
    checkInteger(`tensorboard: ${what}`, 'step', step, 0);
    if (board === null) {
      throw new EngineError(`tensorboard: ${what}: the run has not started (write during the run)`);
    }
    await board.write('train', step, [value]);
  };
  const checkName = (what: string, name: unknown): void => checkText(`tensorboard: ${what}`, 'name', name);
  return Object.assign(listener, {
    flush: async () => board?.flush(),
    async scalar(name: string, step: number, value: number) {
      checkName('scalar', name);
      if (typeof value !== 'number') {
        throw new TypeError(`tensorboard: scalar: value must be a number, got ${show(value)}`);
      }
      await write('scalar', step, scalarValue(name, value));
    },
    async histogram(name: string, step: number, values: Iterable<number>) {
      checkName('histogram', name);
      await write('histogram', step, histogramValue(name, values));
    },
    async image(name: string, step: number, image: HostTensor) {
      checkName('image', name);
      await write('image', step, imageValue(name, contentsOf(image)));
    },
    async text(name: string, step: number, text: string) {
      checkName('text', name);
      checkText('tensorboard: text', 'text', text);
      await write('text', step, textValue(name, text));
    },
  });
}

function contentsOf({ shape, dtype, data }: HostTensor): Parameters<typeof imageValue>[1] {
  const [height = 0, width = 0, channels = 0] = shape;
  const isImage = shape.length === 3 && height > 0 && width > 0 && channels >= 1 && channels <= 4;
  if (!isImage || dtype !== 'u8' || data.length !== sizeOf(shape)) {
    throw new TypeError(
      `tensorboard: image: it must be bytes [H, W, C] with 1 to 4 channels, got ${dtype} [${shape.join(', ')}]`,
    );
  }
  return { height, width, channels, png: encodePng(height, width, channels, data as Uint8Array) };
}

/** The files of one run. */
class Board {
  readonly #files: Files;
  readonly #start: StartEvent;
  readonly #options: TensorBoardOptions;
  readonly #paths: Readonly<Record<Folder, string>>;
  readonly #every: number;
  readonly #means = new StepMeans();
  readonly #name: string;

  private constructor(
    files: Files,
    dir: string,
    start: StartEvent,
    options: TensorBoardOptions,
    paths: Readonly<Record<Folder, string>>,
  ) {
    this.#files = files;
    this.#start = start;
    this.#options = options;
    this.#paths = paths;
    this.#every = options.every ?? recordInterval(start);
    this.#name = basename(resolve(dir));
  }

  static async open(
    files: Files,
    dir: string,
    start: StartEvent,
    options: TensorBoardOptions,
  ): Promise<Board> {
    await loadProtobuf();
    const paths = { train: '', validation: '' };
    try {
      for (const folder of FOLDERS) {
        const path = join(dir, folder);
        await makeFolder(files, path);
        const old = (await namesIn(files, path)).filter((name) => PREFIX.test(name));
        if (start.step === 0) for (const name of old) await removeFile(files, join(path, name));
        // TensorBoard reads the files of a folder in the order of their names.
        const last = Math.max(0, ...old.map((name) => Number(PREFIX.exec(name)?.[1]) + 1));
        const time = Math.max(start.step === 0 ? 0 : last, Math.floor(Date.now() / 1000));
        paths[folder] = join(path, `events.out.tfevents.${time}.${hostname()}.${process.pid}.cyclegrad`);
      }
    } catch (cause) {
      throw new DataError(`tensorboard: cannot write ${dir}: ${message(cause)} (use another folder)`, {
        cause,
      });
    }
    const board = new Board(files, dir, start, options, paths);
    // The points at the step of the resume stay: they were written before its checkpoint.
    const valid = start.step === 0 ? 0 : start.step + 1;
    for (const folder of FOLDERS) await board.#append(folder, firstRecords(now(), valid));
    await board.#describe();
    return board;
  }

  async #describe(): Promise<void> {
    const { steps, stepsPerEpoch, batchSize, seed, step, report } = this.#start;
    const config = { steps, stepsPerEpoch, batchSize, seed, ...this.#options.config };
    const text = JSON.stringify({ ...config, report }, null, 2);
    await this.write('train', step, [
      textValue('configuration', `    ${text.replaceAll('\n', '\n    ')}`), // a block of code in Markdown
      startOfSession(this.#name, config, now()),
    ]);
  }

  async take(event: TrainEvent): Promise<void> {
    if (event.type === 'step') {
      this.#means.add(event);
      if ((event.step + 1) % this.#every === 0) await this.#record(this.#means.take());
    } else if (event.type === 'eval') {
      await this.write('validation', event.step, measures(event));
    } else if (event.type === 'end') {
      await this.#end(event);
    }
  }

  async #record(record: StepRecord | null): Promise<void> {
    if (record === null) return;
    const { step, hyper, ms } = record;
    const rates = Object.entries(hyper).map(([name, value]) => scalarValue(`hyper/${name}`, value));
    const speed = ms > 0 ? [scalarValue('examples_per_second', (this.#start.batchSize * 1000) / ms)] : [];
    // Evaluations count the steps done, so training does, too.
    await this.write('train', step + 1, [...measures(record), ...rates, ...speed]);
  }

  async #end({ reason, step }: EndEvent): Promise<void> {
    await this.#record(this.#means.take());
    await this.write('train', step, [endOfSession(reason !== 'error', now())]);
    await this.flush();
  }

  write(folder: Folder, step: number, values: readonly SummaryValue[]): Promise<void> {
    return this.#append(folder, summaryRecord(now(), step, values));
  }

  /** A record that covers steps on both sides of a checkpoint would be forgotten, or counted twice, by a run that resumes. */
  async flush(): Promise<void> {
    await this.#record(this.#means.take());
    for (const folder of FOLDERS) await this.#append(folder, new Uint8Array(), true);
  }

  async #append(folder: Folder, bytes: Uint8Array, flush = false): Promise<void> {
    const path = this.#paths[folder];
    try {
      await appendBytes(this.#files, path, bytes, flush, () => undefined);
    } catch (cause) {
      throw new DataError(
        `tensorboard: cannot write ${path}: ${message(cause)} (is the disk full, or the folder not writable?)`,
        { cause },
      );
    }
  }
}

const PREFIX = /^events\.out\.tfevents\.(\d+)\./;

const now = (): number => Date.now() / 1000;

const measures = ({ loss, metrics }: Pick<EvalEvent, 'loss' | 'metrics'>): readonly SummaryValue[] => [
  scalarValue('loss', loss),
  ...Object.entries(metrics).map(([name, value]) => scalarValue(name, value)),
];
