// One cycle for a whole run, then down to almost nothing: the rate, and the momentum that mirrors it.

import {
  atLeastOne,
  inOrder,
  notNegative,
  numberThatIs,
  oneOf,
  optional,
  positive,
  read,
  steps,
  type Check,
  type StepCount,
} from './options.ts';
import { alongPhases, curves, type Phase } from './phases.ts';
import { makeSchedule, type Cycle, type Schedule } from './schedule.ts';

type Form = 'pytorch' | 'pytorch-three-phase' | 'smith';

/** What the value goes through: at rest before and after the cycle, at its top, where it falls to, and at the very end. */
interface Levels {
  readonly rest: number;
  readonly top: number;
  readonly floor: number;
  readonly final: number;
}

interface FormRule {
  readonly rise: number;
  readonly mostRise: number;
  readonly anneal: keyof typeof curves;
  readonly div: number;
  readonly finalDiv: number;
  /** Whether any step after step 0 lies in the rise or in the fall from the top; where the form begins at the top, always. */
  rises(steps: number, rise: number): boolean;
  phases(steps: number, rise: number, levels: Levels): readonly Phase[];
}

/** Steps of the rise, and of the fall. */
const smithHalf = (count: number, rise: number): number =>
  Math.min(Math.round(rise * count), Math.floor(count / 2));

const forms: Readonly<Record<Form, FormRule>> = {
  pytorch: {
    rise: 0.3,
    mostRise: 1,
    anneal: 'cos',
    div: 25,
    finalDiv: 1e4,
    rises: () => true,
    phases: (count, rise, { rest, top, final }) => [
      { end: Math.max(0, rise * count - 1), from: rest, to: top },
      { end: count - 1, from: top, to: final },
    ],
  },
  'pytorch-three-phase': {
    rise: 0.3,
    mostRise: 0.5,
    anneal: 'cos',
    div: 25,
    finalDiv: 1e4,
    rises: (count, rise) => 2 * rise * count - 2 > 1,
    phases: (count, rise, { rest, top, final }) => [
      { end: Math.max(0, rise * count - 1), from: rest, to: top },
      { end: Math.max(0, 2 * rise * count - 2), from: top, to: rest },
      { end: count - 1, from: rest, to: final },
    ],
  },
  smith: {
    rise: 0.45,
    mostRise: 0.5,
    anneal: 'linear',
    div: 10,
    finalDiv: 1000,
    rises: (count, rise) => smithHalf(count, rise) > 0,
    phases: (count, rise, { rest, top, floor, final }) => {
      const half = smithHalf(count, rise);
      return [
        { end: half, from: rest, to: top },
        { end: 2 * half, from: top, to: floor },
        // No width: the fall stops one step short of the floor, and the rest of the run stays at `final`.
        { end: 2 * half, from: final, to: final },
      ];
    },
  },
};

const shape = {
  steps,
  form: optional(oneOf(Object.keys(forms) as Form[]), 'pytorch' as const),
  rise: optional(
    numberThatIs('a number >= 0 and < 1', (x) => x >= 0 && x < 1),
    undefined,
  ),
  anneal: optional(oneOf(['cos', 'linear']), undefined),
} satisfies Record<string, Check<unknown>>;

interface ShapeOptions {
  /** Steps of the whole run; past them the value stays where it ended. */
  readonly steps: StepCount;
  /** Default 'pytorch'. */
  readonly form?: Form;
  /** Fraction of the steps that the rise takes. Default 0.3; 0.45 for 'smith'. */
  readonly rise?: number;
  /** Default 'cos'; 'linear' for 'smith'. */
  readonly anneal?: 'cos' | 'linear';
}

export interface OneCycleOptions extends ShapeOptions {
  /** Highest value. */
  readonly max: number;
  /** The run starts at max / div. Default 25; 10 for 'smith'. */
  readonly div?: number;
  /** The run ends at max / div / finalDiv. Default 1e4; 1000 for 'smith'. */
  readonly finalDiv?: number;
}

export interface OneCycleMomentumOptions extends ShapeOptions {
  /** Momentum while the rate is high. Default 0.85. */
  readonly low?: number;
  /** Momentum at the start and the end. Default 0.95. */
  readonly high?: number;
}

/**
 * One cycle over the whole run, ending far below where it started.
 *
 *   start = max / div, final = start / finalDiv, T = steps, r = rise
 *   pytorch: start → max at step r·T − 1, → final at T − 1
 *   pytorch-three-phase: start → max at r·T − 1, → start at 2·r·T − 2, → final at T − 1
 *   smith: start → max at step s = round(r·T), → 0 at 2s (not reached), then final
 *   anneal: linear, or cos: a + (b − a) · (1 − cos πp) / 2
 *
 * Units: `steps` in steps or `{ epochs, stepsPerEpoch }`; `rise` is a fraction of them. Past the end the value stays at `final`.
 * For 'pytorch' a rise of up to one step (r·T <= 1) is left out, so that step 0 has max; PyTorch begins there a little below max,
 * and divides by zero for r·T = 1. The other forms would never come near max, and refuse so short a rise.
 * Throws RangeError unless max > 0, div >= 1, finalDiv >= 1, 0 <= rise < 1 (<= 0.5 for 'pytorch-three-phase' and 'smith'), r·T > 1.5
 * for 'pytorch-three-phase' and s >= 1 for 'smith'.
 * Source: L. N. Smith and N. Topin, Super-convergence, 2018, and its published logs ('smith'); PyTorch's OneCycleLR.
 *
 * @example oneCycle({ max: 0.1, steps: 1000 })(299) // 0.1
 * @example oneCycle({ max: 0.8, steps: 10000, form: 'smith' })(9999) // 0.00008
 */
export function oneCycle(options: OneCycleOptions): Schedule {
  const where = 'oneCycle';
  const given = read(where, options, {
    max: positive,
    ...shape,
    div: optional(atLeastOne, undefined),
    finalDiv: optional(atLeastOne, undefined),
  });
  const { max, form, div = forms[form].div, finalDiv = forms[form].finalDiv } = given;
  const rest = max / div;
  return cycleOf(where, { ...given, div, finalDiv }, { rest, top: max, floor: 0, final: rest / finalDiv });
}

/**
 * The momentum to go with `oneCycle`: high, low while the rate is high, high again.
 *
 *   the phases of `oneCycle` with high for its start and its final value, low for its max
 *
 * Units: give it the rate's `steps`, `form`, `rise` and `anneal`.
 * Throws RangeError unless 0 <= low < high, and as `oneCycle` does.
 * Source: as `oneCycle`. After the cycle it stays high; in Smith's logs it went on cycling at half amplitude, a side effect.
 *
 * @example oneCycleMomentum({ steps: 1000 })(299) // 0.85
 */
export function oneCycleMomentum(options: OneCycleMomentumOptions): Schedule {
  const where = 'oneCycleMomentum';
  const given = read(where, options, {
    ...shape,
    low: optional(notNegative, 0.85),
    high: optional(notNegative, 0.95),
  });
  const { low, high } = given;
  inOrder(where, ['low', low], ['high', high]);
  return cycleOf(where, given, { rest: high, top: low, floor: high, final: high });
}

interface Shape {
  readonly steps: number;
  readonly form: Form;
  readonly rise: number | undefined;
  readonly anneal: keyof typeof curves | undefined;
}

function cycleOf(where: string, given: Shape & Readonly<Record<string, unknown>>, levels: Levels): Schedule {
  const form = forms[given.form];
  const { steps: count, rise = form.rise, anneal = form.anneal } = given;
  if (rise > form.mostRise) {
    throw new RangeError(`${where}: rise must be <= ${form.mostRise} for form '${given.form}', got ${rise}`);
  }
  if (!form.rises(count, rise)) {
    throw new RangeError(
      `${where}: rise ${rise} of ${count} steps is too short: with form '${given.form}' no step would come near the top ` +
        `(give a longer rise, or form 'pytorch', which then begins at the top)`,
    );
  }
  const cycle: Cycle = { start: 0, end: count, swing: 1, whole: true };
  const valueAt = alongPhases(form.phases(count, rise, levels), curves[anneal]);
  return makeSchedule(where, { ...given, rise, anneal }, valueAt, () => [cycle]);
}
