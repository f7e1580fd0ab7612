/** Options that contradict each other or what is on the disk, found before the images are read. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, relative, sep } from 'node:path';
import { classifier, type ClassifierName } from '../../engine/zoo/index.ts';
import { UsageError } from '../failure.ts';

/** Throws UsageError for a folder of a run that cannot be written, or that would be read as images. */
export function checkRunPath(cwd: string, dir: string, data: string): void {
  const shown = relative(cwd, dir) || '.';
  if (dir === data || dir.startsWith(data + sep)) {
    throw new UsageError(
      `--run ${shown}: it is in the folder of the images, where it would be read as a class (name another folder)`,
    );
  }
  if (existsSync(dir) && !statSync(dir).isDirectory()) {
    throw new UsageError(`--run ${shown}: it is a file (name a folder)`);
  }
  let existing = dir;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
  } catch (cause) {
    throw new UsageError(
      `--run ${shown}: ${relative(cwd, existing) || '.'} is not writable (name another folder)`,
      {
        cause,
      },
    );
  }
}

interface Checked {
  readonly model?: ClassifierName | undefined;
  readonly size?: number | undefined;
  readonly crop?: number | undefined;
  readonly epochs?: number | undefined;
  readonly freezeEpochs?: number | undefined;
  readonly from?: string | undefined;
}

/** Throws UsageError for options that contradict each other, as far as they are given. */
export function checkOptions(given: Checked): void {
  const { model, size, crop, epochs, freezeEpochs, from } = given;
  if (model !== undefined && size !== undefined) {
    try {
      classifier(model, { classes: 2, size });
    } catch (cause) {
      throw new UsageError(
        `--size ${size}: ${(cause as Error).message.replace(/^classifier: /, '')} (choose another --size or --model)`,
        { cause },
      );
    }
  }
  if (crop !== undefined && size !== undefined && crop >= size) {
    throw new UsageError(`--crop ${crop}: it must be below --size ${size}`);
  }
  if (freezeEpochs === undefined) return;
  if (from === undefined) {
    throw new UsageError(
      `--freeze-epochs ${freezeEpochs}: it needs --from (a network that starts at random has nothing to keep)`,
    );
  }
  if (epochs !== undefined && freezeEpochs >= epochs) {
    throw new UsageError(`--freeze-epochs ${freezeEpochs}: it must be below --epochs ${epochs}`);
  }
}
