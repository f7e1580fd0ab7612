// Impossible options, by their messages: the function, the option, its value, what is allowed.

import { describe, expect, it } from 'vitest';
import * as schedulers from 'cyclegrad/schedulers';

const {
  asSchedule,
  boundsFromMax,
  clamp,
  constant,
  cosine,
  cosineWarmRestarts,
  custom,
  cyclicLR,
  cyclicMomentum,
  decay,
  exponential,
  geometric,
  join,
  lastCycleEnd,
  linear,
  mirror,
  multistep,
  notices,
  oneCycle,
  oneCycleMomentum,
  plateau,
  repeat,
  scale,
  scheduleFromJSON,
  stepSizeFromEpochs,
  trapezoid,
  warmup,
} = schedulers;

/** What a caller without types may pass. */
const untyped = (value: unknown): never => value as never;
const cyclic = { base: 0.001, max: 0.006, stepSize: 2000 };
const fn = (x: number): number => x;

const cases: readonly (readonly [
  build: () => unknown,
  type: typeof TypeError | typeof RangeError,
  message: string,
])[] = [
  [
    () => cyclicLR({ ...cyclic, base: 0.01, max: 0.001 }),
    RangeError,
    'cyclicLR: base must be below max, got base 0.01 and max 0.001 (swap them?)',
  ],
  [
    () => cyclicLR({ ...cyclic, base: 0.006 }),
    RangeError,
    'cyclicLR: base must be below max, got base 0.006 and max 0.006',
  ],
  [() => cyclicLR({ ...cyclic, base: -1 }), RangeError, 'cyclicLR: base must be a number >= 0, got -1'],
  [() => cyclicLR({ ...cyclic, max: NaN }), RangeError, 'cyclicLR: max must be a number >= 0, got NaN'],
  [
    () => cyclicLR({ ...cyclic, max: Infinity }),
    RangeError,
    'cyclicLR: max must be a number >= 0, got Infinity',
  ],
  [
    () => cyclicLR({ ...cyclic, max: untyped('0.006') }),
    TypeError,
    "cyclicLR: max must be a number >= 0, got '0.006'",
  ],
  [
    () => cyclicLR({ ...cyclic, stepSize: 2000.5 }),
    RangeError,
    'cyclicLR: stepSize must be an integer >= 0, got 2000.5',
  ],
  [
    () => cyclicLR({ ...cyclic, stepSize: 0 }),
    RangeError,
    'cyclicLR: stepSize and stepSizeDown must not both be 0',
  ],
  [
    () => cyclicLR({ ...cyclic, stepSize: { epochs: 0, stepsPerEpoch: 500 } }),
    RangeError,
    'cyclicLR: stepSize: epochs must be a number > 0, got 0',
  ],
  [
    () => cyclicLR({ ...cyclic, stepSize: untyped({ epochs: 2, steps: 500 }) }),
    TypeError,
    "cyclicLR: stepSize: unknown option 'steps' (known: epochs, stepsPerEpoch)",
  ],
  [
    () => cyclicLR(untyped({ ...cyclic, stepsize: 1 })),
    TypeError,
    "cyclicLR: unknown option 'stepsize' (known: base, max, stepSize, stepSizeDown, mode, gamma, decays, window, scale, scaleBy)",
  ],
  [
    () => cyclicLR(untyped(undefined)),
    TypeError,
    'cyclicLR: options must be an object (base, max, stepSize, stepSizeDown, mode, gamma, decays, window, scale, scaleBy), got undefined',
  ],
  [
    () => cyclicLR(untyped({ base: 0.001, max: 0.006 })),
    TypeError,
    'cyclicLR: stepSize must be an integer >= 0, got undefined',
  ],
  [
    () => cyclicLR({ ...cyclic, mode: untyped('triangular3') }),
    RangeError,
    "cyclicLR: mode must be 'triangular' or 'triangular2' or 'exp_range', got 'triangular3'",
  ],
  [
    () => cyclicLR({ ...cyclic, mode: 'exp_range' }),
    TypeError,
    "cyclicLR: mode 'exp_range' needs gamma (the paper uses 0.99994)",
  ],
  [
    () => cyclicLR({ ...cyclic, mode: 'exp_range', gamma: 1.1 }),
    RangeError,
    'cyclicLR: gamma must be a number > 0 and <= 1, got 1.1',
  ],
  [
    () => cyclicLR({ ...cyclic, gamma: 0.9 }),
    TypeError,
    "cyclicLR: gamma needs mode 'exp_range', got mode 'triangular' (omit gamma, or set mode: 'exp_range')",
  ],
  [
    () => cyclicLR({ ...cyclic, mode: 'triangular2', decays: 'bounds' }),
    TypeError,
    "cyclicLR: decays needs mode 'exp_range', got mode 'triangular2' (omit decays, or set mode: 'exp_range')",
  ],
  [
    () => cyclicLR({ ...cyclic, scale: { name: 'half', fn }, decays: 'bounds' }),
    TypeError,
    "cyclicLR: decays needs mode 'exp_range', got scale (omit decays, or set mode: 'exp_range')",
  ],
  [
    () => cyclicLR({ ...cyclic, scaleBy: 'step' }),
    TypeError,
    "cyclicLR: scaleBy needs scale, got scaleBy 'step' alone",
  ],
  [
    () => cyclicLR({ ...cyclic, mode: 'triangular', scale: { name: 'half', fn } }),
    TypeError,
    "cyclicLR: scale replaces mode, got both (drop mode 'triangular')",
  ],
  [
    () => cyclicLR({ ...cyclic, scale: untyped(fn) }),
    TypeError,
    "cyclicLR: scale must be { name, fn }, got a function (write { name: 'my function', fn }; JSON stores the function by its name)",
  ],
  [
    () => cyclicLR({ ...cyclic, scale: { name: 'grow', fn: (c) => c * 2 } })(1),
    RangeError,
    "cyclicLR: scale 'grow' at 1 must be a number >= 0 and <= 1, got 2",
  ],
  [
    () => cyclicLR({ ...cyclic, window: { name: 'bad', fn: () => NaN } })(1),
    RangeError,
    "cyclicLR: window 'bad' at 0.0005 must be a number >= 0 and <= 1, got NaN",
  ],
  [
    () => cyclicLR({ ...cyclic, window: untyped('hann') }),
    RangeError,
    "cyclicLR: window must be 'triangular' or 'parabolic' or 'sinusoidal', got 'hann'",
  ],
  [
    () => cyclicMomentum({ ...cyclic, mode: 'exp_range', gamma: 0.9, decays: 'bounds' }),
    TypeError,
    "cyclicMomentum: decays must be 'amplitude', got 'bounds' (momentum would rise above max)",
  ],

  [() => oneCycle({ max: 0, steps: 10 }), RangeError, 'oneCycle: max must be a number > 0, got 0'],
  [() => oneCycle({ max: 1, steps: 0 }), RangeError, 'oneCycle: steps must be an integer >= 1, got 0'],
  [() => oneCycle({ max: 1, steps: 10, div: 0 }), RangeError, 'oneCycle: div must be a number >= 1, got 0'],
  [
    () => oneCycle({ max: 1, steps: 10, finalDiv: 0 }),
    RangeError,
    'oneCycle: finalDiv must be a number >= 1, got 0',
  ],
  [
    () => oneCycle({ max: 1, steps: 10, rise: 0.04, form: 'smith' }),
    RangeError,
    "oneCycle: rise 0.04 of 10 steps is too short: with form 'smith' no step would come close to the top " +
      "(use a longer rise, or form 'pytorch', which then starts at the top)",
  ],
  [
    () => oneCycleMomentum({ steps: 10, rise: 0.15, form: 'pytorch-three-phase' }),
    RangeError,
    "oneCycleMomentum: rise 0.15 of 10 steps is too short: with form 'pytorch-three-phase' no step would come close to the top " +
      "(use a longer rise, or form 'pytorch', which then starts at the top)",
  ],
  [
    () => oneCycle({ max: 1, steps: 10, rise: 1 }),
    RangeError,
    'oneCycle: rise must be a number >= 0 and < 1, got 1',
  ],
  [
    () => oneCycle({ max: 1, steps: 10, rise: 0.6, form: 'smith' }),
    RangeError,
    "oneCycle: rise must be <= 0.5 for form 'smith', got 0.6",
  ],
  [
    () => oneCycleMomentum({ steps: 10, low: 0.95, high: 0.85 }),
    RangeError,
    'oneCycleMomentum: low must be below high, got low 0.95 and high 0.85 (swap them?)',
  ],

  [
    () => cosine({ max: 0.1, min: 0.2, steps: 10 }),
    RangeError,
    'cosine: min must be below max, got min 0.2 and max 0.1 (swap them?)',
  ],
  [
    () => cosineWarmRestarts({ max: 0.1, T0: 10, tMult: 1.5 }),
    RangeError,
    'cosineWarmRestarts: tMult must be an integer >= 1, got 1.5',
  ],
  [
    () => cosineWarmRestarts({ max: 0.1, T0: 0 }),
    RangeError,
    'cosineWarmRestarts: T0 must be an integer >= 1, got 0',
  ],
  [
    () => decay({ base: 0.007, max: 0.001, stepSize: 10 }),
    RangeError,
    'decay: base must be below max, got base 0.007 and max 0.001 (swap them?)',
  ],
  [
    () => exponential({ base: 1, gamma: 0 }),
    RangeError,
    'exponential: gamma must be a number > 0 and <= 1, got 0',
  ],
  [() => geometric({ from: 0, to: 1, steps: 10 }), RangeError, 'geometric: from must be a number > 0, got 0'],
  [
    () => multistep({ base: 1, gamma: 0.1, at: [20, 10] }),
    RangeError,
    'multistep: at must increase, got 20 before 10',
  ],
  [() => multistep({ base: 1, gamma: 0.1, at: [] }), RangeError, 'multistep: at must not be empty'],
  [
    () => trapezoid({ max: 1, steps: 10, up: 6, down: 5 }),
    RangeError,
    'trapezoid: up + down must be <= steps, got 6 + 5 and steps 10',
  ],

  [() => join([], []), RangeError, 'join: schedules must not be empty'],
  [() => join([1, 2], [10, 5]), RangeError, 'join: boundaries must increase, got 10 before 5'],
  [
    () => join(untyped(['fast']), [10]),
    TypeError,
    "join: schedules[0] must be a number or a schedule, got 'fast'",
  ],
  [() => join([1, 2], untyped(10)), TypeError, 'join: boundaries must be an array, got 10'],
  [
    () => join([1, 2, 3], [10]),
    RangeError,
    'join: boundaries must have as many entries as schedules or one fewer, got 1 and 3',
  ],
  [
    () => join([1], [10, 20]),
    RangeError,
    'join: boundaries must have as many entries as schedules or one fewer, got 2 and 1',
  ],
  [() => warmup(-1, 0.1), RangeError, 'warmup: steps must be an integer >= 0, got -1'],
  [
    () => scale(untyped(fn), 2),
    TypeError,
    'scale: schedule must be a number or a schedule, got a function (wrap it: custom({ name, fn }))',
  ],
  [
    () => clamp(0.1, 1, 0),
    RangeError,
    'clamp: low must not be above high, got low 1 and high 0 (swap them?)',
  ],
  [() => repeat(0.1, 0), RangeError, 'repeat: every must be an integer >= 1, got 0'],
  [() => mirror(untyped(0.1), 0, 1), TypeError, 'mirror: schedule must be a schedule, got 0.1'],
  [
    () => asSchedule(untyped('0.1')),
    TypeError,
    "asSchedule: value must be a number or a schedule, got '0.1'",
  ],
  [() => constant(NaN), RangeError, 'constant: value must be a finite number, got NaN'],
  [
    () => custom({ name: 'pole', fn: (t) => 1 / t })(0),
    RangeError,
    'custom: the value at step 0 must be a finite number, got Infinity',
  ],

  [() => constant(1)(-1), RangeError, 'constant: step must be an integer >= 0, got -1'],
  [() => cyclicLR(cyclic)(1.5), RangeError, 'cyclicLR: step must be an integer >= 0, got 1.5'],
  [
    () => linear({ from: 0, to: 1, steps: 10 })(NaN),
    RangeError,
    'linear: step must be an integer >= 0, got NaN',
  ],
  [() => constant(1)(untyped('3')), TypeError, "constant: step must be an integer >= 0, got '3'"],

  [
    () => scheduleFromJSON({ kind: 'cylicLR' }),
    RangeError,
    `scheduleFromJSON: unknown kind 'cylicLR' (known: ${schedulers.scheduleKinds.join(', ')})`,
  ],
  [
    () => scheduleFromJSON({ kind: 'constructor' }),
    RangeError,
    `scheduleFromJSON: unknown kind 'constructor' (known: ${schedulers.scheduleKinds.join(', ')})`,
  ],
  [
    () => scheduleFromJSON({ kind: 'custom', fn: { name: 'mine' } }),
    RangeError,
    "scheduleFromJSON: unknown function 'mine' (known: none; pass { functions: { 'mine': ... } })",
  ],
  [
    () => scheduleFromJSON({ kind: 'custom', fn: { name: 'mine' } }, { functions: { yours: fn } }),
    RangeError,
    "scheduleFromJSON: unknown function 'mine' (known: yours)",
  ],
  [
    () => scheduleFromJSON({ kind: 'warmup', step: 10, schedule: 1 }),
    TypeError,
    "warmup: unknown option 'step' (known: steps, schedule)",
  ],
  [
    () => scheduleFromJSON({ kind: 'linear', from: 0, to: 1 }),
    TypeError,
    'linear: steps must be an integer >= 1, got undefined',
  ],
  [
    () => scheduleFromJSON(untyped({ base: 1 })),
    TypeError,
    'scheduleFromJSON: config must be a number or an object with a kind, got an object',
  ],
  [
    () => scheduleFromJSON(untyped('constant')),
    TypeError,
    "scheduleFromJSON: config must be a number or an object with a kind, got 'constant'",
  ],

  [
    () => plateau({ start: 0.1, factor: 1 }),
    RangeError,
    'plateau: factor must be a number > 0 and < 1, got 1',
  ],
  [
    () => plateau({ start: 0.1, min: 0.2 }),
    RangeError,
    'plateau: min must not be above start, got min 0.2 and start 0.1',
  ],
  [
    () => plateau({ start: 0.1 })(plateau({ start: 0.1 }).initial, NaN),
    RangeError,
    'plateau: metric must be a finite number, got NaN',
  ],
  [() => stepSizeFromEpochs(0, 500), RangeError, 'stepSizeFromEpochs: epochs must be a number > 0, got 0'],
  [() => boundsFromMax(0.01, 3), RangeError, 'boundsFromMax: ratio must be a number > 0 and < 1, got 3'],
  [() => lastCycleEnd(constant(1), 0), RangeError, 'lastCycleEnd: steps must be an integer >= 1, got 0'],
  [() => notices(constant(1), 1.5), RangeError, 'notices: steps must be an integer >= 1, got 1.5'],
];

describe('impossible options', () => {
  it.each(cases.map(([build, type, message]) => [message, build, type] as const))(
    '%s',
    (message, build, type) => {
      let thrown: unknown;
      try {
        build();
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(type);
      expect((thrown as Error).message).toBe(message);
    },
  );
});
