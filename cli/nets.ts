/** The networks that the command trains, and the options that say which, and how many images at a time. */
import { Option, type Command } from 'commander';
import { caffeFull, caffeQuick } from '../engine/index.ts';
import { whole } from './values.ts';

export const NETS = { full: caffeFull, quick: caffeQuick } as const;

export interface NetArguments {
  readonly net: keyof typeof NETS;
  readonly batchSize: number;
}

export function addNetOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--net <name>', 'full: the one of the paper; quick: another of Caffe, for short runs')
        .choices(Object.keys(NETS))
        .default('full'),
    )
    .option('--batch-size <n>', 'images of one update', whole(1, 50_000), 100);
}
