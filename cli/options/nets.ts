/** The networks of the command, and the options for the network and the batch size. */
import { Option, type Command } from 'commander';
import * as nn from '../../engine/nn/index.ts';
import { whole } from './values.ts';

export const NETS = { full: nn.caffeFull, quick: nn.caffeQuick } as const;

export interface NetArguments {
  readonly net: keyof typeof NETS;
  readonly batchSize: number;
}

/** Adds --net. */
export const addNetOption = (command: Command): Command =>
  command.addOption(
    new Option(
      '--net <name>',
      'full: the network of the paper; quick: a smaller network of Caffe, for short runs',
    )
      .choices(Object.keys(NETS))
      .default('full'),
  );

/** Adds --net and --batch-size. */
export const addNetOptions = (command: Command): Command =>
  addNetOption(command).option('--batch-size <n>', 'images per update', whole(1, 50_000), 100);
