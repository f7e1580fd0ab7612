/** `--log`: files of a run in formats of other programs. */
import { join } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import {
  csvLog,
  evaluate,
  htmlReport,
  jsonLines,
  tensorboard,
  type Backend,
  type EvaluateOptions,
  type HtmlReport,
  type Listener,
} from '../../engine/index.ts';
import { confusionMatrix } from '../../engine/metrics/index.ts';
import type { Dataset } from '../../datasets/index.ts';

/** The formats, and where they are in the folder of a run. */
const FILES = {
  csv: 'log.csv',
  jsonl: 'log.jsonl',
  tensorboard: 'tensorboard',
  html: 'report.html',
} as const;
export type LogFormat = keyof typeof FILES;
const FORMATS = Object.keys(FILES) as LogFormat[];

export const addLogOption = (command: Command): Command =>
  command.option(
    '--log <list>',
    `also write ${FORMATS.join(', ')} into the folder of the run, separated by commas`,
    formats,
  );

function formats(text: string): readonly LogFormat[] {
  const names = text.split(',').map((name) => name.trim());
  const isFormat = (name: string): name is LogFormat => Object.hasOwn(FILES, name);
  const unknown = names.find((name) => !isFormat(name));
  if (unknown === undefined) return [...new Set(names.filter(isFormat))];
  throw new InvalidArgumentError(
    `'${unknown}' is no format. Use ${FORMATS.join(', ')}, separated by commas.`,
  );
}

/** The names of the files, for messages. */
export const logFiles = (chosen: readonly LogFormat[]): readonly string[] =>
  chosen.map((name) => FILES[name]);

export interface Logs {
  readonly listeners: readonly Listener[];
  /** Adds the confusion matrix of the final state to the HTML file. */
  finish(run: {
    readonly model: EvaluateOptions['model'];
    readonly backend: Backend;
    readonly state: EvaluateOptions['state'];
    readonly data: Dataset;
    readonly batchSize: number;
  }): Promise<void>;
}

/** The listeners of the chosen formats. */
export function openLogs(
  chosen: readonly LogFormat[],
  dir: string,
  { config, title }: { readonly config: Readonly<Record<string, unknown>>; readonly title: string },
): Logs {
  let html: HtmlReport | null = null;
  const listeners = chosen.map((name): Listener => {
    const path = join(dir, FILES[name]);
    switch (name) {
      case 'csv':
        return csvLog(path);
      case 'jsonl':
        return jsonLines({ path });
      case 'tensorboard':
        return tensorboard(path, { config });
      case 'html':
        return (html = htmlReport(path, { config, title }));
    }
  });
  return {
    listeners,
    async finish(run) {
      if (html === null) return;
      const { details } = await evaluate({ ...run, metrics: { confusion: confusionMatrix() } });
      await html.confusion(details['confusion'].matrix!, run.data.classes);
    },
  };
}
