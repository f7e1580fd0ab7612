/** Keeps states of a run, for instance those at the ends of cycles. */
import { join } from 'node:path';
import { checkInteger, checkOptions, checkText } from '../../options.ts';
import type { State } from '../../types.ts';
import type { Callback } from '../callbacks.ts';
import { saveTensors } from '../checkpoint.ts';

export interface SnapshotsOptions {
  /** Updates between snapshots, for instance the length of a cycle, or the numbers of updates done at which to take one. */
  readonly at: number | readonly number[];
  /** Number of latest snapshots to keep in memory. Default: all. */
  readonly keep?: number;
  /** A folder for the states, as `snapshot-00001000.safetensors`. They are then not kept in memory. Default: none. */
  readonly dir?: string;
}

/** A state of a run. */
export interface Snapshot {
  /** Updates done. */
  readonly step: number;
  /** Parameters, statistics and arrays of the optimizer. Empty if the snapshot is in a file. */
  readonly state: State;
  /** The path of the file. Null if the snapshot is in memory. */
  readonly path: string | null;
}

/** A callback with the snapshots of its last run. */
export interface Snapshots extends Callback {
  /** Those with fewer steps first. */
  readonly taken: readonly Snapshot[];
}

/**
 * A callback that keeps states of the run: an ensemble of the ends of cycles (snapshot ensembles), or states to average. Snapshots in
 * memory are part of checkpoints, so a resumed run has them all. It counts as one run: a second run begins with none.
 *
 * Throws RangeError or TypeError for an option out of range. The run throws CheckpointError for a file that cannot be written.
 *
 * @example
 * const ends = snapshots({ at: 2000 });
 * await fit({ ...options, callbacks: [ends] });
 * for (const { step, state } of ends.taken) console.log(step, Object.keys(state));
 */
export function snapshots(options: SnapshotsOptions): Snapshots {
  const where = 'snapshots';
  checkOptions(where, options, ['at', 'keep', 'dir']);
  const { at, keep, dir } = options;
  const steps: readonly number[] | null = Array.isArray(at) ? (at as readonly number[]) : null;
  for (const one of steps ?? [at]) checkInteger(where, 'at', one, 1);
  if (keep !== undefined) checkInteger(where, 'keep', keep, 1);
  if (dir !== undefined) checkText(where, 'dir', dir, 'the path of a folder');
  const isDue = (step: number): boolean => steps?.includes(step) ?? step % (at as number) === 0;
  const taken: Snapshot[] = [];
  return {
    name: where,
    config: { at, keep: keep ?? null, dir: dir ?? null },
    taken,
    open(run, saved) {
      const earlier = (saved?.data ?? []) as readonly Omit<Snapshot, 'state'>[];
      taken.splice(
        0,
        Infinity,
        ...earlier.map((one) => ({ ...one, state: statesAt(one.step, saved!.arrays ?? {}) })),
      );
      return {
        async on(event) {
          if (event.type !== 'step' || !isDue(run.step)) return;
          const { step } = run;
          const state = await run.state();
          const path =
            dir === undefined ? null : join(dir, `snapshot-${String(step).padStart(8, '0')}.safetensors`);
          if (path !== null) await saveTensors(path, state);
          taken.push({ step, path, state: path === null ? state : {} });
          if (keep !== undefined) taken.splice(0, taken.length - keep);
        },
        state: () => ({
          data: taken.map(({ step, path }) => ({ step, path })),
          arrays: Object.fromEntries(
            taken.flatMap(({ step, state }) =>
              Object.entries(state).map(([name, value]) => [`${step}/${name}`, value]),
            ),
          ),
        }),
      };
    },
  };
}

const statesAt = (step: number, arrays: State): State =>
  Object.fromEntries(
    Object.entries(arrays).flatMap(([name, value]) =>
      name.startsWith(`${step}/`) ? [[name.slice(`${step}/`.length), value]] : [],
    ),
  );
