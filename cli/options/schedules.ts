/** The schedules of `cyclegrad train`, by name or as JSON. */
import { readFileSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import {
  cyclicLR,
  join,
  multistep,
  scheduleFromJSON,
  scheduleKinds,
  type Schedule,
  type ScheduleConfig,
} from '../../schedulers/index.ts';
import { UsageError } from '../failure.ts';
import { notNegative, positive, whole } from './values.ts';

/** The options of a named schedule. */
export interface RateOptions {
  readonly lr?: number;
  readonly base?: number;
  readonly max?: number;
  readonly stepSize?: number;
  readonly gamma?: number;
}

type RateOption = keyof RateOptions;

const FLAGS: Readonly<Record<RateOption, string>> = {
  lr: '--lr',
  base: '--base',
  max: '--max',
  stepSize: '--step-size',
  gamma: '--gamma',
};

interface Named {
  readonly takes: readonly RateOption[];
  readonly build: (options: RateOptions) => Schedule;
}

/** The bounds of section 3.3 of the paper, from its range test. */
const BOUNDS = { base: 0.001, max: 0.006, stepSize: 2000 } as const;

const cyclic =
  (mode: 'triangular' | 'triangular2') =>
  ({ base = BOUNDS.base, max = BOUNDS.max, stepSize = BOUNDS.stepSize }: RateOptions): Schedule =>
    cyclicLR({ base, max, stepSize, mode });

const BY_NAME = {
  table2: {
    takes: [],
    build: () =>
      join(
        [
          cyclicLR({ base: 1e-3, max: 5e-3, stepSize: 2000, mode: 'triangular2' }),
          cyclicLR({ base: 1e-4, max: 5e-4, stepSize: 1000, mode: 'triangular2' }),
          cyclicLR({ base: 1e-5, max: 5e-5, stepSize: 500, mode: 'triangular2' }),
        ],
        [16_000, 22_000, 25_000],
      ),
  },
  // Caffe's chain of three solvers. Up to step 60,000 the rate is constant.
  fixed: {
    takes: ['lr'],
    build: ({ lr = 0.001 }) => multistep({ base: lr, gamma: 0.1, at: [60_000, 65_000] }),
  },
  triangular: { takes: ['base', 'max', 'stepSize'], build: cyclic('triangular') },
  triangular2: { takes: ['base', 'max', 'stepSize'], build: cyclic('triangular2') },
  'exp-range': {
    takes: ['base', 'max', 'stepSize', 'gamma'],
    build: ({ base = BOUNDS.base, max = BOUNDS.max, stepSize = BOUNDS.stepSize, gamma = 0.99994 }) =>
      cyclicLR({ base, max, stepSize, gamma, mode: 'exp_range' }),
  },
} as const satisfies Record<string, Named>;

export const scheduleNames: readonly string[] = Object.keys(BY_NAME);

/** The options of the named schedules, for every command with a schedule. */
export function scheduleOptions(): Option[] {
  return [
    new Option('--lr <rate>', 'rate of fixed (default: 0.001)').argParser(notNegative),
    new Option(
      '--base <rate>',
      'lowest rate of triangular, triangular2 and exp-range (default: 0.001)',
    ).argParser(notNegative),
    new Option('--max <rate>', 'highest rate of these schedules (default: 0.006)').argParser(positive),
    new Option('--step-size <n>', 'steps of half a cycle of these schedules (default: 2000)').argParser(
      whole(1),
    ),
    new Option('--gamma <factor>', 'factor per step of exp-range (default: 0.99994)').argParser(gamma),
  ];
}

function gamma(text: string): number {
  const value = positive(text);
  if (value <= 1) return value;
  throw new InvalidArgumentError('It must be a number above 0 and at most 1.');
}

export interface ChosenSchedule {
  /** A short name, for the folder of the run. */
  readonly name: string;
  readonly schedule: Schedule;
}

/**
 * The schedule of `--schedule`, or of the argument `flag`, with its options.
 * Throws UsageError with the option, its value, and the allowed values.
 */
export function chooseSchedule(
  value: string,
  options: RateOptions,
  cwd: string,
  flag = '--schedule',
): ChosenSchedule {
  if (Object.hasOwn(BY_NAME, value)) {
    const { takes, build }: Named = BY_NAME[value as keyof typeof BY_NAME];
    rejectOthers(`${flag} ${value}`, takes, options, flag);
    return { name: value, schedule: orUsage(`${flag} ${value}`, () => build(options)) };
  }
  const { name, config, where } = readConfig(value, cwd, flag);
  rejectOthers(where, [], options, flag);
  return { name, schedule: orUsage(where, () => scheduleFromJSON(config)) };
}

function readConfig(
  value: string,
  cwd: string,
  flag: string,
): { readonly name: string; readonly config: ScheduleConfig; readonly where: string } {
  const isInline = value.trimStart().startsWith('{');
  let text = value;
  if (!isInline) {
    try {
      text = readFileSync(resolve(cwd, value), 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const reason = code === 'ENOENT' ? 'the file does not exist' : `the file cannot be read: ${code}`;
      throw new UsageError(
        `${flag} '${value}': neither a name nor JSON, and ${reason} ` +
          `(names: ${scheduleNames.join(', ')}; or JSON such as '{"kind":"constant","value":0.001}', or the path of a JSON file)`,
      );
    }
  }
  const where = isInline ? flag : `${flag} ${value}`;
  const config = orUsage(`${where}: not JSON`, () => JSON.parse(text) as ScheduleConfig);
  if (typeof config !== 'object' || config === null || typeof config.kind !== 'string') {
    throw new UsageError(
      `${where}: a schedule is a JSON object with a kind, got ${JSON.stringify(config).slice(0, 60)} (kinds: ${scheduleKinds.join(', ')})`,
    );
  }
  const name = isInline ? config.kind : basename(value, extname(value));
  return { name: name.replace(/[^\w.-]+/g, '-'), config, where };
}

/** Throws UsageError for options that the schedule does not have. */
function rejectOthers(where: string, takes: readonly RateOption[], options: RateOptions, flag: string): void {
  for (const [option, optionFlag] of Object.entries(FLAGS) as [RateOption, string][]) {
    if (options[option] === undefined || takes.includes(option)) continue;
    const others = takes.map((name) => FLAGS[name]).join(', ');
    throw new UsageError(
      `${optionFlag} ${options[option]}: it does not apply to ${where}, which takes ${others || 'no other options'} ` +
        `(${optionFlag} applies to ${takers(option)
          .map((name) => `${flag} ${name}`)
          .join(', ')})`,
    );
  }
}

function takers(option: RateOption): string[] {
  return Object.entries(BY_NAME)
    .filter(([, { takes }]) => (takes as readonly RateOption[]).includes(option))
    .map(([name]) => name);
}

/** Turns errors of the constructor of a schedule into UsageErrors. */
function orUsage<T>(where: string, build: () => T): T {
  try {
    return build();
  } catch (error) {
    throw new UsageError(`${where}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
