/** One cycle over the run, ending at almost 0: the rate, and the momentum that mirrors it. */
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

/** The values before and after the cycle (`rest`), at its top, at the bottom of the fall, and at the end of the run. */
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
  /** Whether any step after step 0 lies in the rise or in the fall from the top. Always true where the form starts at the top. */
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
        // A phase of zero width: the fall stops one step before the floor, and the value then stays at `final`.
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
  /** Length of the run, in steps or `{ epochs, stepsPerEpoch }`. After it, the value stays constant. */
  readonly steps: StepCount;
  /** Which published schedule: see the formulas of `oneCycle`. Default 'pytorch'. */
  readonly form?: Form;
  /** Length of the rise as a fraction of the steps. Default 0.3, or 0.45 for 'smith'. */
  readonly rise?: number;
  /** The curve between two levels: half a cosine or a line. Default 'cos', or 'linear' for 'smith'. */
  readonly anneal?: 'cos' | 'linear';
}

export interface OneCycleOptions extends ShapeOptions {
  /** Highest value. */
  readonly max: number;
  /** The run starts at max / div. Default 25, or 10 for 'smith'. */
  readonly div?: number;
  /** The run ends at max / div / finalDiv. Default 1e4, or 1000 for 'smith'. */
  readonly finalDiv?: number;
}

export interface OneCycleMomentumOptions extends ShapeOptions {
  /** Momentum while the rate is high. Default 0.85. */
  readonly low?: number;
  /** Momentum at the start and the end. Default 0.95. */
  readonly high?: number;
}

/**
 * The 1cycle policy: one cycle over the run, which ends far below the initial value.
 *
 *   start = max / div, final = start / finalDiv, T = steps, r = rise
 *   pytorch: start → max at step r·T − 1, → final at T − 1
 *   pytorch-three-phase: start → max at r·T − 1, → start at 2·r·T − 2, → final at T − 1
 *   smith: start → max at step s = round(r·T), → 0 at 2s (not reached), then final
 *   anneal: linear, or cos: a + (b − a) · (1 − cos πp) / 2
 *
 * Units: `steps` in steps or `{ epochs, stepsPerEpoch }`. `rise` is a fraction of them. After the end the value stays at `final`.
 *
 * Form 'pytorch' skips a rise of at most one step (r·T <= 1), so step 0 has max. PyTorch starts slightly below max in this case, and
 * divides by zero for r·T = 1. The other forms would not come close to max, so they throw for such a short rise.
 *
 * Throws RangeError unless max > 0, div >= 1, finalDiv >= 1, 0 <= rise < 1 (<= 0.5 for 'pytorch-three-phase' and 'smith'), r·T > 1.5
 * for 'pytorch-three-phase' and s >= 1 for 'smith'.
 * Source: L. N. Smith and N. Topin, Super-convergence, 2018, and its published logs ('smith'); PyTorch's OneCycleLR.
 *
 * @example oneCycle({ max: 0.1, steps: 1000 })(299) // 0.1
 * @example oneCycle({ max: 0.8, steps: 10000, form: 'smith' })(9999) // 0.00008
 */
export function oneCycle(options: OneCycleOptions): Schedule {
  const where = 'oneCycle';
  const checked = read(where, options, {
    max: positive,
    ...shape,
    div: optional(atLeastOne, undefined),
    finalDiv: optional(atLeastOne, undefined),
  });
  const { max, form, div = forms[form].div, finalDiv = forms[form].finalDiv } = checked;
  const rest = max / div;
  return cycleOf(where, { ...checked, div, finalDiv }, { rest, top: max, floor: 0, final: rest / finalDiv });
}

/**
 * The momentum of the 1cycle policy: high, low while the rate is high, then high again.
 *
 *   the phases of `oneCycle`, with `high` for its start and its final value, and `low` for its max
 *
 * Pass the `steps`, `form`, `rise` and `anneal` of the rate. After the cycle, momentum stays high. In Smith's logs, it continues to
 * cycle at half amplitude, a side effect of the implementation.
 *
 * Throws RangeError unless 0 <= low < high, and as `oneCycle` does.
 * Source: as `oneCycle`.
 *
 * @example oneCycleMomentum({ steps: 1000 })(299) // 0.85
 */
export function oneCycleMomentum(options: OneCycleMomentumOptions): Schedule {
  const where = 'oneCycleMomentum';
  const checked = read(where, options, {
    ...shape,
    low: optional(notNegative, 0.85),
    high: optional(notNegative, 0.95),
  });
  const { low, high } = checked;
  inOrder(where, ['low', low], ['high', high]);
  return cycleOf(where, checked, { rest: high, top: low, floor: high, final: high });
}

interface Shape {
  readonly steps: number;
  readonly form: Form;
  readonly rise: number | undefined;
  readonly anneal: keyof typeof curves | undefined;
}

function cycleOf(
  where: string,
  checked: Shape & Readonly<Record<string, unknown>>,
  levels: Levels,
): Schedule {
  const form = forms[checked.form];
  const { steps: count, rise = form.rise, anneal = form.anneal } = checked;
  if (rise > form.mostRise) {
    throw new RangeError(
      `${where}: rise must be <= ${form.mostRise} for form '${checked.form}', got ${rise}`,
    );
  }
  if (!form.rises(count, rise)) {
    throw new RangeError(
      `${where}: rise ${rise} of ${count} steps is too short: with form '${checked.form}' no step would come close to the top ` +
        `(use a longer rise, or form 'pytorch', which then starts at the top)`,
    );
  }
  const cycle: Cycle = { start: 0, end: count, relativeAmplitude: 1, complete: true };
  const valueAt = alongPhases(form.phases(count, rise, levels), curves[anneal]);
  return makeSchedule(where, { ...checked, rise, anneal }, valueAt, () => [cycle]);
}
