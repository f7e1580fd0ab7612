/** Freezes parameters for a part of a run. */
import { patternsOf, patternText, type Match } from '../../match.ts';
import { checkInteger, checkOptions, show } from '../../options.ts';
import type { Callback } from '../callbacks.ts';

export interface FreezingPhase {
  /** The parameters: paths such as 'block1', regular expressions for names, or named functions. */
  readonly match: Match;
  /** The first update that leaves them as they are. Default 0. */
  readonly from?: number;
  /** The first update that changes them again. Default: never. */
  readonly until?: number;
}

/**
 * A callback that freezes parameters for a part of the run, for instance for gradual unfreezing. At the start and at the end of a phase,
 * the step is compiled again, without the gradients that nobody needs. Statistics of batch normalization still follow the data.
 *
 * Units: `from` and `until` count updates.
 * Throws RangeError or TypeError for a phase that is wrong. The run throws RangeError if a pattern matches no trained parameter.
 *
 * @example
 * const gradual = freezing([{ match: ['conv1', 'conv2'], until: 500 }, { match: 'conv3', until: 250 }]);
 */
export function freezing(phases: readonly FreezingPhase[]): Callback {
  const where = 'freezing';
  if (!Array.isArray(phases)) throw new TypeError(`${where}: phases must be an array, got ${show(phases)}`);
  const checked = (phases as readonly FreezingPhase[]).map((phase, i) => {
    const here = `${where}: phases[${i}]`;
    checkOptions(here, phase, ['match', 'from', 'until']);
    const { match, from = 0, until = null } = phase;
    const patterns = patternsOf(`${here}: match`, match);
    checkInteger(here, 'from', from, 0);
    if (until !== null) checkInteger(here, 'until', until, from + 1);
    return { patterns, from, until };
  });
  return {
    name: where,
    config: {
      phases: checked.map(({ patterns, ...rest }) => ({ match: patterns.map(patternText), ...rest })),
    },
    open: (run) => ({
      async on(event) {
        // Checkpoints store what is frozen, so only the start of a run is a boundary besides those of the phases.
        if (event.type !== 'step' && !(event.type === 'start' && run.step === 0)) return;
        const { step } = run;
        if (!checked.some(({ from, until }) => from === step || until === step)) return;
        for (const { patterns, until } of checked) if (until === step) await run.unfreeze(patterns);
        const active = checked.filter(({ from, until }) => from <= step && (until === null || step < until));
        for (const { patterns } of active) await run.freeze(patterns);
      },
    }),
  };
}
