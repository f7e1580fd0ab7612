/** A table of a run as CSV, with the columns of Keras's CSVLogger. */
import { DataError } from '../../errors.ts';
import { appendBytes, codeOf, nodeFiles, readText, type Files } from '../../files.ts';
import { checkText } from '../../options.ts';
import type { EvalEvent, Listener, StartEvent, TrainEvent } from '../events.ts';
import { replaceText } from './files.ts';
import { message } from './format.ts';
import { StepMeans } from './run-record.ts';

/**
 * A listener that writes a CSV file with a row for each evaluation, or for each epoch if the run has none. The columns have the names of
 * Keras's CSVLogger:
 *
 *   epoch                        the epoch of the last step, from 0
 *   loss, accuracy, …            means over the training steps since the row before
 *   val_loss, val_accuracy, …    of the evaluation; empty without one
 *   learning_rate                of the last step
 *   step                         updates done
 *
 * A resumed run keeps the rows up to its step and appends. A new run replaces the file. Each row is one awaited write, and the file is
 * flushed to the disk before each checkpoint. After a resume, the means of the first row begin at the step of the resume.
 *
 * Throws TypeError unless `path` is a text. The listener throws DataError if it cannot write, or if the file of a resumed run has other
 * columns.
 *
 * @example await fit({ ...options, eval: { data: test, every: { epochs: 1 } }, listeners: [csvLog('runs/log.csv')] });
 */
export function csvLog(path: string): Listener {
  checkText('csvLog', 'path', path, 'the path of a file');
  return csvTo(nodeFiles, path);
}

/** `csvLog` for any file system. */
export function csvTo(files: Files, path: string): Listener {
  let table: Table | null = null;
  const listener = async (event: TrainEvent): Promise<void> => {
    if (event.type === 'start') table = await Table.open(files, path, event);
    const current = table;
    if (event.type === 'end') table = null;
    await current?.take(event);
  };
  return Object.assign(listener, { flush: async () => table?.flush() });
}

type Row = Readonly<Record<string, number | undefined>>;

class Table {
  readonly #files: Files;
  readonly #path: string;
  readonly #start: StartEvent;
  readonly #means = new StepMeans();
  /** The columns of evaluations. Empty without evaluations. */
  #evaluated: readonly string[] = [];
  /** What an earlier process of the run wrote. */
  #header: string | null = null;
  #earlier: readonly string[] = [];
  /** Null until the first row, which determines them. */
  #columns: readonly string[] | null = null;

  private constructor(files: Files, path: string, start: StartEvent) {
    this.#files = files;
    this.#path = path;
    this.#start = start;
  }

  static async open(files: Files, path: string, start: StartEvent): Promise<Table> {
    const table = new Table(files, path, start);
    if (start.step > 0) await table.#readEarlier();
    return table;
  }

  /** Reads the rows of the run up to the step at which it resumes. */
  async #readEarlier(): Promise<void> {
    let text: string;
    try {
      text = await readText(this.#files, this.#path);
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return;
      throw new DataError(`csvLog: cannot read ${this.#path}: ${message(cause)}`, { cause });
    }
    // An incomplete last line, which a killed process leaves, is left out.
    const [header, ...rows] = text.split(/(?<=\n)/).filter((row) => row.endsWith('\n'));
    if (header === undefined) return;
    this.#header = header;
    this.#earlier = rows.filter((row) => Number(row.slice(row.lastIndexOf(',') + 1)) <= this.#start.step);
    this.#evaluated = header
      .trim()
      .split(',')
      .filter((name) => name.startsWith(EVALUATED));
  }

  async take(event: TrainEvent): Promise<void> {
    if (event.type === 'step') {
      this.#means.add(event);
      const { stepsPerEpoch } = this.#start;
      const isEpoch = Math.floor((event.step + 1) / stepsPerEpoch) > Math.floor(event.step / stepsPerEpoch);
      if (isEpoch && this.#evaluated.length === 0) await this.#write(event.step + 1, {});
    } else if (event.type === 'eval') {
      const values = evaluatedRow(event);
      this.#evaluated = Object.keys(values);
      // There are no training steps before the first evaluation.
      if (this.#means.steps.length > 0) await this.#write(event.step, values);
    } else if (event.type === 'end') {
      if (this.#means.steps.length > 0) await this.#write(event.step, {});
      await this.flush();
    }
  }

  async #write(step: number, evaluation: Row): Promise<void> {
    const { hyper, loss, metrics } = this.#means.take()!;
    const rates = Object.entries(hyper).filter(([name]) => name === 'lr' || name.endsWith('/lr'));
    const row: Row = {
      epoch: Math.floor((step - 1) / this.#start.stepsPerEpoch),
      loss,
      ...metrics,
      ...Object.fromEntries(this.#evaluated.map((name) => [name, evaluation[name]])),
      ...Object.fromEntries(rates.map(([name, value]) => [name.replace(/lr$/, 'learning_rate'), value])),
      step,
    };
    this.#columns ??= await this.#begin(Object.keys(row));
    await this.#append(line(this.#columns.map((name) => row[name])));
  }

  /** Prepares the file for the first row. Returns the columns. */
  async #begin(columns: readonly string[]): Promise<readonly string[]> {
    const header = line(columns);
    if (this.#header !== null && this.#header !== header) {
      throw new DataError(
        `csvLog: ${this.#path} has the columns ${this.#header.trim()}, but the run has ${header.trim()} ` +
          '(move the file, or use another path)',
      );
    }
    await replaceText(this.#files, 'csvLog', this.#path, [header, ...this.#earlier].join(''));
    return columns;
  }

  async flush(): Promise<void> {
    if (this.#columns !== null) await this.#append('', true);
  }

  async #append(text: string, flush = false): Promise<void> {
    try {
      await appendBytes(this.#files, this.#path, new TextEncoder().encode(text), flush, () => undefined);
    } catch (cause) {
      throw new DataError(
        `csvLog: cannot write ${this.#path}: ${message(cause)} (is the disk full, or the folder not writable?)`,
        { cause },
      );
    }
  }
}

const EVALUATED = 'val_';

const evaluatedRow = ({ loss, metrics }: EvalEvent): Row =>
  Object.fromEntries(
    Object.entries({ loss, ...metrics }).map(([name, value]) => [`${EVALUATED}${name}`, value]),
  );

/** A line of CSV (RFC 4180). */
const line = (cells: readonly (string | number | undefined)[]): string =>
  `${cells.map((cell) => quoted(cell === undefined ? '' : String(cell))).join(',')}\n`;

const quoted = (cell: string): string => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
