/** All kinds of schedules by name, and schedules from JSON. A new kind is a function and a line in this table. */
import { clamp, join, mirror, repeat, scale, warmup } from './compose.ts';
import { cosine, cosineWarmRestarts } from './cosine.ts';
import { cyclicLR, cyclicMomentum } from './cyclic.ts';
import {
  decay,
  exponential,
  geometric,
  inv,
  linear,
  multistep,
  poly,
  sigmoid,
  step,
  trapezoid,
} from './decay.ts';
import { oneCycle, oneCycleMomentum } from './one-cycle.ts';
import { finite, isRecord, onlyNames, show, type NamedFunction } from './options.ts';
import { constant, custom, type Schedule, type ScheduleConfig } from './schedule.ts';

/** The constructor. For one with positional arguments, also their names in the config. */
type Kind = readonly [build: (...args: never[]) => Schedule, ...positional: string[]];

const kinds: Readonly<Record<string, Kind>> = {
  constant: [constant, 'value'],
  custom: [custom, 'fn'],
  join: [join, 'schedules', 'boundaries'],
  warmup: [warmup, 'steps', 'schedule'],
  scale: [scale, 'schedule', 'factor'],
  clamp: [clamp, 'schedule', 'low', 'high'],
  repeat: [repeat, 'schedule', 'every'],
  mirror: [mirror, 'schedule', 'low', 'high'],
  cyclicLR: [cyclicLR],
  cyclicMomentum: [cyclicMomentum],
  oneCycle: [oneCycle],
  oneCycleMomentum: [oneCycleMomentum],
  cosine: [cosine],
  cosineWarmRestarts: [cosineWarmRestarts],
  linear: [linear],
  geometric: [geometric],
  decay: [decay],
  step: [step],
  multistep: [multistep],
  exponential: [exponential],
  inv: [inv],
  poly: [poly],
  sigmoid: [sigmoid],
  trapezoid: [trapezoid],
};

/**
 * The names of all kinds of schedules, as in `config.kind`.
 *
 * @example scheduleKinds.includes('cyclicLR') // true
 */
export const scheduleKinds: readonly string[] = Object.keys(kinds);

type Functions = Readonly<Record<string, NamedFunction['fn']>>;

/**
 * Builds a schedule from its config. A number gives a constant schedule.
 *
 * Throws RangeError for an unknown kind or function, TypeError for a config without a kind, and the errors of the constructor.
 *
 * @example scheduleFromJSON({ kind: 'linear', from: 0, to: 0.02, steps: 4000 })(1000) // 0.005
 */
export function scheduleFromJSON(
  config: ScheduleConfig | number,
  options: {
    /** Custom functions by name. Required if the config contains any. */
    readonly functions?: Functions;
  } = {},
): Schedule {
  const functions = onlyNames('scheduleFromJSON', options, ['functions']).functions ?? {};
  if (!isRecord(functions)) {
    throw new TypeError(`scheduleFromJSON: functions must be an object, got ${show(functions)}`);
  }
  if (typeof config === 'number') return constant(finite(config, 'scheduleFromJSON: config'));
  return build(config, functions as Functions);
}

function build(config: unknown, functions: Functions): Schedule {
  if (!isRecord(config) || typeof config.kind !== 'string') {
    throw new TypeError(
      `scheduleFromJSON: config must be a number or an object with a kind, got ${show(config)}`,
    );
  }
  const { kind, ...saved } = config;
  const [construct, ...positional] = known(kinds, 'kind', kind);
  const options = Object.fromEntries(
    Object.entries(saved).map(([name, value]) => [name, revive(value, functions)]),
  );
  const args =
    positional.length === 0
      ? [options]
      : positional.map((name) => onlyNames(kind, options, positional)[name]);
  return (construct as (...args: unknown[]) => Schedule)(...args);
}

/** Saved values as arguments of a constructor: an object with a kind is a schedule, one with a name is a function. */
function revive(value: unknown, functions: Functions): unknown {
  if (Array.isArray(value)) return value.map((entry) => revive(entry, functions));
  if (!isRecord(value)) return value;
  if ('kind' in value) return build(value, functions);
  if (typeof value.name === 'string')
    return { name: value.name, fn: known(functions, 'function', value.name) };
  return value;
}

function known<T>(table: Readonly<Record<string, T>>, what: string, name: string): T {
  // Object.hasOwn: 'constructor' is not a kind.
  if (Object.hasOwn(table, name)) return table[name];
  const names = Object.keys(table).join(', ') || `none; pass { functions: { '${name}': ... } }`;
  throw new RangeError(`scheduleFromJSON: unknown ${what} '${name}' (known: ${names})`);
}
