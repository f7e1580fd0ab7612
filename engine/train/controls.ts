/** What callbacks changed about a run: schedules, factors of hyperparameters, frozen parameters, its end. Checkpoints store it. */
import { isSchedule, scheduleFromJSON, type Schedule, type ScheduleConfig } from '../../schedulers/index.ts';
import { patternsOf, patternText, select, type Match } from '../match.ts';
import { trainedNames } from '../nn/model.ts';
import type { Described } from '../nn/layer.ts';
import type { Hyper } from '../nn/optimizer.ts';
import { checkNumber, checkText, show } from '../options.ts';
import type { Notice } from './events.ts';

/** The end of a run that a callback stopped. `by` is null if the caller stopped it. */
export interface Stopped {
  readonly by: string | null;
  readonly reason: string;
}

/** What a checkpoint stores. Parts that are missing were not changed. */
export interface ControlsRecord {
  readonly schedules?: Readonly<Record<string, ScheduleConfig>>;
  readonly scales?: Readonly<Record<string, number>>;
  readonly frozen?: readonly string[];
  readonly stopped?: Stopped;
}

export class Controls {
  /** Notices that are not sent yet. */
  readonly notices: Notice[] = [];
  stopped: Stopped | null = null;
  readonly #where: string;
  readonly #model: Described;
  readonly #schedules: Map<string, Schedule>;
  readonly #scales: Map<string, number>;
  readonly #frozen: Set<string>;
  #compiled: string;

  constructor(where: string, model: Described, saved: ControlsRecord = {}) {
    this.#where = where;
    this.#model = model;
    this.#schedules = new Map(
      Object.entries(saved.schedules ?? {}).map(([name, config]) => [name, scheduleFromJSON(config)]),
    );
    this.#scales = new Map(Object.entries(saved.scales ?? {}));
    this.#frozen = new Set(saved.frozen);
    this.#compiled = this.#frozenNames().join();
  }

  /** The hyperparameters of an update, with the schedules and factors that callbacks set. */
  changed(step: number, hyper: Hyper): Hyper {
    if (this.#schedules.size === 0 && this.#scales.size === 0) return hyper;
    return Object.fromEntries(
      Object.entries(hyper).map(([name, value]) => [
        name,
        (this.#schedules.get(name)?.(step) ?? value) * (this.#scales.get(name) ?? 1),
      ]),
    );
  }

  /** Multiplies a hyperparameter by `factor` from the next update on. The factor replaces the one before. */
  scale(name: string, factor: number, known: readonly string[]): void {
    checkNumber(`${this.#where}: scale`, 'the factor', factor, 'a number >= 0', (x) => x >= 0);
    for (const one of this.#matching('scale', name, known)) {
      if (factor === 1) this.#scales.delete(one);
      else this.#scales.set(one, factor);
    }
  }

  /** Replaces the schedule of a hyperparameter for the updates from `from` to `steps`. */
  reschedule(name: string, schedule: Schedule, known: readonly string[], from: number, steps: number): void {
    const where = `${this.#where}: reschedule`;
    if (!isSchedule(schedule)) {
      throw new TypeError(
        `${where}: it must be a schedule, for instance cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), got ${show(schedule)}`,
      );
    }
    const names = this.#matching('reschedule', name, known);
    let stored: Schedule;
    try {
      stored = scheduleFromJSON(schedule.config);
    } catch (cause) {
      throw new TypeError(
        `${where}: a checkpoint stores the schedule as JSON, but it cannot be read back: ${(cause as Error).message} ` +
          '(use a schedule without functions of your own)',
        { cause },
      );
    }
    for (let step = from; step < steps; step++) {
      checkNumber(where, `the value at step ${step}`, stored(step), 'a number >= 0', (x) => x >= 0);
    }
    for (const one of names) this.#schedules.set(one, stored);
  }

  /** The hyperparameters called `name`. A partition has a rate for each part: 'head/lr'. */
  #matching(method: string, name: string, known: readonly string[]): readonly string[] {
    const matching = known.filter((one) => one === name || one.endsWith(`/${name}`));
    if (matching.length > 0) return matching;
    throw new RangeError(
      `${this.#where}: ${method}: there is no hyperparameter '${name}' (the optimizer has: ${known.join(', ')})`,
    );
  }

  /** Freezes the matching parameters from the next update on, or trains them again. */
  freeze(match: Match, isFrozen: boolean): void {
    const where = `${this.#where}: ${isFrozen ? 'freeze' : 'unfreeze'}`;
    const trained = trainedNames(this.#model);
    const specs = Object.fromEntries(trained.map((name) => [name, this.#model.params[name]]));
    const names = select(patternsOf(`${where}: a pattern`, match), specs, (pattern) => {
      throw new RangeError(
        `${where}: no trained parameter matches ${patternText(pattern)} (the model has: ${trained.join(', ')})`,
      );
    });
    for (const name of names) {
      if (isFrozen) this.#frozen.add(name);
      else this.#frozen.delete(name);
    }
  }

  stop(by: string | null, reason: string): void {
    checkText(`${this.#where}: stop`, 'the reason', reason);
    this.stopped ??= { by, reason };
  }

  /** Whether the update was compiled with other frozen parameters. */
  get isStale(): boolean {
    return this.#frozenNames().join() !== this.#compiled;
  }

  /** The frozen parameters, for an update that is compiled now. */
  compiling(): readonly string[] {
    const names = this.#frozenNames();
    this.#compiled = names.join();
    return names;
  }

  record(): ControlsRecord {
    const frozen = this.#frozenNames();
    const schedules = [...this.#schedules].map(([name, { config }]) => [name, config] as const);
    return {
      ...(schedules.length > 0 && { schedules: sorted(schedules) }),
      ...(this.#scales.size > 0 && { scales: sorted([...this.#scales]) }),
      ...(frozen.length > 0 && { frozen }),
      // A run that its caller stopped goes on when it resumes.
      ...(this.stopped !== null && this.stopped.by !== null && { stopped: this.stopped }),
    };
  }

  /** In the order of the model. */
  #frozenNames(): readonly string[] {
    return trainedNames(this.#model).filter((name) => this.#frozen.has(name));
  }
}

/** Entries as an object whose keys have one order, so that equal runs write equal files. */
const sorted = <T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> =>
  Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
