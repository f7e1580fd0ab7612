/** The folder of a run: which checkpoints are in it, which one a run resumes from, and which are deleted. */
import { join } from 'node:path';
import { CheckpointError, DamagedFileError } from '../errors.ts';
import { checkText } from '../options.ts';
import { flushParents, isLeftover, namesIn, nodeFiles, removeFile, type Files } from '../files.ts';
import {
  bestPath,
  checkpointPath,
  readCheckpoint,
  readStep,
  writeCheckpoint,
  type Checkpoint,
} from './checkpoint.ts';
import type { Notice } from './events.ts';
import { lockFolder, type Lock } from './lock.ts';

const NAME = /^step-(\d{8,})\.safetensors$/;

const stepOfName = (name: string): number => Number(NAME.exec(name)?.[1]);

/** The names of the checkpoints in a folder, those with fewer steps first. Empty if there is no folder. */
async function checkpointNames(files: Files, dir: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = await namesIn(files, dir);
  } catch (cause) {
    throw new CheckpointError(`${dir}: cannot be read: ${(cause as Error).message} (use another folder)`, {
      cause,
    });
  }
  return names.filter((name) => NAME.test(name)).sort((a, b) => stepOfName(a) - stepOfName(b));
}

/**
 * The path of the checkpoint with the most steps in a folder, by the names of the files. Null without checkpoints. A run that resumes
 * also checks their contents.
 *
 * Throws CheckpointError if the folder cannot be read.
 *
 * @example
 * const path = await latestCheckpoint('runs/clr');
 * if (path !== null) console.log((await loadCheckpoint(path)).step);
 */
export async function latestCheckpoint(dir: string): Promise<string | null> {
  checkText('latestCheckpoint', 'dir', dir, 'the path of a folder');
  const name = (await checkpointNames(nodeFiles, dir)).at(-1);
  return name === undefined ? null : join(dir, name);
}

/** A checkpoint to resume from, and what is wrong with other files of the folder. */
export interface Newest {
  readonly path: string;
  readonly checkpoint: Checkpoint;
  readonly damaged: readonly DamagedFile[];
  /** Checkpoints whose name has another step than their contents. */
  readonly misnamed: readonly Candidate[];
}

interface Candidate {
  readonly path: string;
  /** The step in the file. */
  readonly step: number;
}

interface DamagedFile {
  readonly path: string;
  readonly error: DamagedFileError;
}

/** The folder of a run that may write there. */
export class RunFolder {
  readonly dir: string;
  readonly #files: Files;
  readonly #keep: number;
  readonly #lock: Lock;

  private constructor(files: Files, dir: string, keep: number, lock: Lock) {
    this.#files = files;
    this.dir = dir;
    this.#keep = keep;
    this.#lock = lock;
  }

  /** Locks the folder and deletes the temporary files of dead processes. `keep`: the number of checkpoints to keep. */
  static async open(files: Files, dir: string, keep: number): Promise<RunFolder> {
    const lock = await lockFolder(files, dir);
    try {
      await flushParents(files, dir);
      for (const name of await namesIn(files, dir)) {
        if (isLeftover(files, join(dir, name))) await removeFile(files, join(dir, name));
      }
    } catch (cause) {
      await lock.release().catch(() => undefined); // report the first error
      throw new CheckpointError(`${dir}: cannot be prepared for a run: ${(cause as Error).message}`, {
        cause,
      });
    }
    return new RunFolder(files, dir, keep, lock);
  }

  /** The paths of the checkpoints, those with fewer steps first. */
  async checkpoints(): Promise<readonly string[]> {
    return (await checkpointNames(this.#files, this.dir)).map((name) => join(this.dir, name));
  }

  /**
   * The undamaged checkpoint with the most steps, by the step in the file. Null without checkpoints. Throws CheckpointError if all are
   * damaged, and for a file that cannot be read now: it may be the newest.
   */
  async newest(): Promise<Newest | null> {
    const candidates: Candidate[] = [];
    const damaged: DamagedFile[] = [];
    const unlessDamaged = async <T>(path: string, read: Promise<T>): Promise<T | null> => {
      try {
        return await read;
      } catch (error) {
        if (!(error instanceof DamagedFileError)) throw error;
        damaged.push({ path, error });
        return null;
      }
    };
    for (const path of await this.checkpoints()) {
      const step = await unlessDamaged(path, readStep(this.#files, path));
      if (step !== null) candidates.push({ path, step });
    }
    const misnamed = candidates.filter(({ path, step }) => path !== checkpointPath(this.dir, step));
    for (const { path } of candidates.sort((a, b) => b.step - a.step)) {
      const checkpoint = await unlessDamaged(path, readCheckpoint(this.#files, path));
      if (checkpoint !== null) return { path, checkpoint, damaged, misnamed };
    }
    if (damaged.length === 0) return null;
    throw new DamagedFileError(
      `${this.dir}: no checkpoint is undamaged: ${damaged.map(({ error }) => error.message).join('; ')} ` +
        '(delete them to start over, or use another folder)',
    );
  }

  /**
   * Prepares the folder for a run that resumes from `newest`. Renames what is wrong, so that it is neither resumed from nor counted
   * again: `.damaged` is appended to the name of a damaged file, and a checkpoint with the name of another step gets its own. Returns a
   * notice for each.
   */
  async settle({ path: good, checkpoint, damaged, misnamed }: Newest): Promise<Notice[]> {
    const notices: Notice[] = [];
    for (const { path, error } of damaged) {
      await this.#rename(path, `${path}.damaged`);
      const message = `${error.message}; it is now ${path}.damaged, and the run resumes from ${good}`;
      notices.push({ code: 'checkpoint-damaged', message });
    }
    for (const { path, step } of misnamed) {
      if (damaged.some((one) => one.path === path)) continue;
      const own = checkpointPath(this.dir, step);
      const target = (await this.checkpoints()).includes(own) ? `${path}.duplicate` : own;
      await this.#rename(path, target);
      notices.push({
        code: 'checkpoint-renamed',
        message: `${path} contains step ${step}, so its name was changed: it is now ${target}`,
      });
    }
    try {
      // The process that saved the checkpoint may have been killed before it flushed the name. Deletions come after that.
      await this.#files.syncFolder(this.dir);
    } catch (cause) {
      throw new CheckpointError(`${this.dir}: cannot be flushed: ${(cause as Error).message}`, { cause });
    }
    await this.prune(checkpoint.step);
    return notices;
  }

  async #rename(from: string, to: string): Promise<void> {
    try {
      await this.#files.rename(from, to);
    } catch (cause) {
      throw new CheckpointError(`${from}: cannot be renamed to ${to}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** Saves a checkpoint and returns its path. When it returns, the file and its name are on the disk. */
  async save(checkpoint: Checkpoint): Promise<string> {
    const path = checkpointPath(this.dir, checkpoint.step);
    await writeCheckpoint(this.#files, path, checkpoint);
    return path;
  }

  /** The step of the saved state of the best evaluation. Null without one that can be read. */
  async bestStep(): Promise<number | null> {
    try {
      return await readStep(this.#files, bestPath(this.dir));
    } catch (error) {
      if (error instanceof CheckpointError) return null;
      throw error;
    }
  }

  /** Saves the state of the best evaluation and returns its path. */
  async saveBest(checkpoint: Checkpoint): Promise<string> {
    const path = bestPath(this.dir);
    await writeCheckpoint(this.#files, path, checkpoint);
    return path;
  }

  /**
   * After the checkpoint of `step` was saved: deletes all but the `keep` checkpoints with the most steps. Names beyond `step` are not of
   * this run and do not count. Never before `save` returned: until the folder was flushed, a power failure could keep the deletion and
   * lose the new file.
   */
  async prune(step: number): Promise<void> {
    const names = await checkpointNames(this.#files, this.dir);
    const own = names.filter((name) => stepOfName(name) <= step);
    try {
      for (const name of own.slice(0, -this.#keep)) await removeFile(this.#files, join(this.dir, name));
    } catch (cause) {
      throw new CheckpointError(
        `${this.dir}: an old checkpoint cannot be deleted: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
  }

  /** Gives the folder free for other runs. */
  async close(): Promise<void> {
    try {
      await this.#lock.release();
    } catch (cause) {
      throw new CheckpointError(`${this.dir}: cannot be unlocked: ${(cause as Error).message}`, { cause });
    }
  }
}
