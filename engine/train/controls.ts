/** What callbacks changed about a run: factors of hyperparameters, frozen parameters, and its end. Checkpoints store it. */
import { patternsOf, patternText, select, type Match } from '../match.ts';
import { trainedNames } from '../nn/model.ts';
import type { Described } from '../nn/layer.ts';
import type { Hyper } from '../nn/optimizer.ts';
import { checkNumber, checkText } from '../options.ts';
import type { Notice } from './events.ts';

/** The end of a run that a callback stopped. `by` is null if the caller stopped it. */
export interface Stopped {
  readonly by: string | null;
  readonly reason: string;
}

/** What a checkpoint stores. Parts that are missing were not changed. */
export interface ControlsRecord {
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
  readonly #scales: Map<string, number>;
  readonly #frozen: Set<string>;
  #compiled: string;

  constructor(where: string, model: Described, saved: ControlsRecord = {}) {
    this.#where = where;
    this.#model = model;
    this.#scales = new Map(Object.entries(saved.scales ?? {}));
    this.#frozen = new Set(saved.frozen);
    this.#compiled = this.#frozenNames().join();
  }

  /** Hyperparameters with their factors. */
  scaled(hyper: Hyper): Hyper {
    if (this.#scales.size === 0) return hyper;
    return Object.fromEntries(
      Object.entries(hyper).map(([name, value]) => [name, value * (this.#scales.get(name) ?? 1)]),
    );
  }

  /** Multiplies a hyperparameter by `factor` from the next update on. The factor replaces the one before. */
  scale(name: string, factor: number, known: readonly string[]): void {
    checkNumber(`${this.#where}: scale`, 'the factor', factor, 'a number >= 0', (x) => x >= 0);
    // A partition has a rate for each part: 'head/lr'.
    const matching = known.filter((one) => one === name || one.endsWith(`/${name}`));
    if (matching.length === 0) {
      throw new RangeError(
        `${this.#where}: scale: there is no hyperparameter '${name}' (the optimizer has: ${known.join(', ')})`,
      );
    }
    for (const one of matching) {
      if (factor === 1) this.#scales.delete(one);
      else this.#scales.set(one, factor);
    }
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
    return {
      ...(this.#scales.size > 0 && {
        scales: Object.fromEntries([...this.#scales].sort(([a], [b]) => (a < b ? -1 : 1))),
      }),
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
