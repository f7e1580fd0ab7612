/** Command lines of `cyclegrad`, in this process: random options and values of all subcommands. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { synthetic } from 'cyclegrad/datasets';
import { scheduleKinds } from 'cyclegrad/schedulers';
import type { Host } from '../../../cli/host.ts';
import { runCli } from '../../../cli/program.ts';
import type { Random } from '../random.ts';
import { folder } from './folder.ts';
import { claim, claimPrototypeIntact, outcomes, type FuzzTarget } from './target.ts';
import { mutateJson, NUMBERS, randomObject } from './values.ts';

/** What a command line should do: succeed, be refused as wrong use, or either. */
type Verdict = 'right' | 'wrong' | 'either';

interface Value {
  readonly right: readonly string[];
  readonly wrong: readonly string[];
}

const BAD = [
  '',
  ' ',
  'NaN',
  '1e999',
  '-1',
  'abc',
  '0x',
  '1,5',
  '１',
  '--',
  '1e-400x',
  'null',
  '__proto__',
  'Infinity',
  '-Infinity',
  '[]',
  '{}',
];
const count = (right: readonly string[], ...wrong: readonly string[]): Value => ({
  right,
  wrong: [...BAD, ...wrong],
});
const rate = (...right: readonly string[]): Value => ({ right: ['0.5', '1e-3', ...right], wrong: BAD });
const choice = (...right: readonly string[]): Value => ({
  right,
  wrong: ['', 'constructor', right[0].toUpperCase(), 'toString'],
});
const flag: Value = { right: [], wrong: ['1'] };

const BACKEND = {
  '--threads': count(['1'], '0', '257', '1.5'),
  '--simd': choice('auto', 'plain', 'relaxed'),
  '--backend': choice('wasm', 'auto'),
};
const NET = { '--net': choice('quick'), '--batch-size': count(['1', '2', '5'], '0', '2.5', '50001') };
const RATES = {
  '--lr': rate('0', '1e-320', '1e16', '1e308', '9007199254740993'),
  '--base': rate('0', '1e-9'),
  '--max': rate('1e-9', '5', '1e300'),
  '--step-size': count(['1', '2000', '9007199254740991'], '0', '1.5'),
  '--gamma': rate('1', '1e-320'),
};
const SVG = { '--svg': { right: ['out.svg', './out.svg'], wrong: ['', 'missing/out.svg'] } };

/** Options by command. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, Value>>>> = {
  schedule: {
    '--steps': count(['2', '10', '25000', '1e6'], '0', '1', '2.5', '1000000001'),
    ...RATES,
    ...SVG,
    '--json': flag,
  },
  train: {
    '--steps': count(['1', '2', '1e0', '0x2'], '0', '1.5', '1000000001'),
    ...RATES,
    ...NET,
    ...BACKEND,
    '--seed': count(['0', '9007199254740991'], '1.5', '9007199254740993'),
    '--eval-every': count(['1', '1000'], '0', '0.5'),
    '--checkpoint-every': count(['1', '1000'], '0', '0.5'),
    '--json': flag,
  },
  'find-lr': {
    '--from': rate('0.0001', '0.02'),
    '--to': rate('0.6', '1e300'),
    '--steps': count(['2', '3'], '0', '1', '2.5'),
    '--sweep': choice('linear', 'exponential'),
    '--every': count(['0', '1'], '0.5'),
    '--seeds': { right: ['1', '2', '0,1'], wrong: ['', '0', '101', '1,1', ',', '1,', '-1', 'a,b', '1.5'] },
    ...NET,
    ...BACKEND,
    ...SVG,
    '--json': flag,
  },
  profile: {
    '--steps': count(['1', '2'], '0', '100001'),
    '--warmup': count(['0', '1'], '0.5'),
    ...NET,
    ...BACKEND,
    '--json': flag,
  },
  data: {},
  example: {},
};

/** What a command needs to be quick, and the arguments that it must have. */
const BASE: Readonly<Record<string, readonly string[]>> = {
  schedule: [],
  train: ['--net', 'quick', '--batch-size', '2', '--threads', '1', '--steps', '1'],
  'find-lr': ['--net', 'quick', '--batch-size', '2', '--threads', '1', '--steps', '3', '--every', '0'],
  profile: [
    '--net',
    'quick',
    '--batch-size',
    '2',
    '--threads',
    '1',
    '--steps',
    '1',
    '--warmup',
    '0',
    '--no-limit',
  ],
  data: [],
  example: [],
};

const NAMED = ['table2', 'fixed', 'triangular', 'triangular2', 'exp-range'];
const CONFIGS = [
  { kind: 'constant', value: 0.001 },
  { kind: 'cyclicLR', base: 0.001, max: 0.006, stepSize: 10 },
  { kind: 'oneCycle', max: 0.1, steps: 100 },
  { kind: 'join', schedules: [0.1, { kind: 'linear', from: 1, to: 0, steps: 10 }], boundaries: [10] },
];
const KEYS = [
  'kind',
  'value',
  'base',
  'max',
  'stepSize',
  'steps',
  'from',
  'to',
  'gamma',
  'at',
  'every',
  'schedule',
  'factor',
  '__proto__',
];

/** A schedule argument that is not a name. */
function scheduleText(random: Random): string {
  switch (random.below(5)) {
    case 0:
      return random.pick([
        '{',
        '[]',
        'null',
        '{}',
        '/',
        'none.json',
        '',
        '{"kind":1}',
        '{"__proto__":{"kind":"constant","value":1}}',
        'good.json',
        '.',
        'bad.json',
      ]);
    case 1:
      return JSON.stringify({ kind: 'constant', value: random.pick(NUMBERS) });
    case 2:
      return JSON.stringify({ ...randomObject(random, KEYS), kind: random.pick(scheduleKinds) });
    default:
      return JSON.stringify(mutateJson(random, random.pick(CONFIGS), KEYS));
  }
}

interface Line {
  readonly args: readonly string[];
  readonly verdict: Verdict;
}

/** Options that a named schedule takes. */
const TAKES: Readonly<Record<string, readonly string[]>> = {
  table2: [],
  fixed: ['--lr'],
  triangular: ['--base', '--max', '--step-size'],
  triangular2: ['--base', '--max', '--step-size'],
  'exp-range': ['--base', '--max', '--step-size', '--gamma'],
};

function commandLine(random: Random): Line {
  const way = random.uniform();
  if (way < 0.05) {
    const nonsense = [
      '--nope',
      'nope',
      '',
      'trian',
      '-x',
      '--version=1',
      'help nope',
      '__proto__',
      'constructor',
      '--json',
    ];
    const [first, ...rest] = random.pick(nonsense).split(' ');
    return { args: [first, ...rest], verdict: rest.length > 0 ? 'either' : 'wrong' };
  }
  if (way < 0.08) {
    return {
      args: random.pick([['--help'], ['--version'], ['help'], ['train', '--help'], ['schedule', '-h']]),
      verdict: 'right',
    };
  }
  const command = random.pick([
    'schedule',
    'schedule',
    'schedule',
    'schedule',
    'train',
    'find-lr',
    'profile',
    'data',
    'example',
  ]);
  const args = [command, ...BASE[command]];
  let verdict: Verdict = 'right';
  let schedule = 'table2';
  if (command === 'schedule' || (command === 'train' && random.uniform() < 0.5)) {
    schedule = random.uniform() < 0.5 ? random.pick(NAMED) : scheduleText(random);
    if (!NAMED.includes(schedule)) verdict = 'either';
    args.push(...(command === 'train' ? [`--schedule=${schedule}`] : [schedule]));
  }
  if (command === 'data')
    // The other data sets would be downloaded.
    args.push(
      ...random.pick([['cifar10'], ['letters'], [], ['cifar10', '--data', 'cifar'], ['cifar10', 'x']]),
    );
  if (command === 'example')
    args.push(
      ...random.pick([[], ['mlp'], ['none'], ['__proto__'], ['mlp', 'extra'], ['../mlp'], ['--run']]),
    );
  if (command === 'data' || command === 'example') verdict = 'either';
  const options = OPTIONS[command];
  const given = new Map<string, string>();
  for (let i = random.below(4); i > 0 && Object.keys(options).length > 0; i--) {
    const name = random.pick(Object.keys(options));
    if (given.has(name)) continue;
    const { right, wrong } = options[name];
    const isWrong = right.length === 0 ? random.uniform() < 0.1 : random.uniform() < 0.2;
    if (right.length === 0) {
      args.push(isWrong ? `${name}=1` : name);
    } else {
      const value = random.pick(isWrong ? wrong : right);
      args.push(...(random.uniform() < 0.5 ? [name, value] : [`${name}=${value}`]));
      given.set(name, value);
    }
    if (isWrong) verdict = 'wrong';
    // Rates that the schedule does not take, or that contradict each other.
    else if (name in RATES && verdict === 'right')
      verdict = TAKES[schedule]?.includes(name) ? 'either' : 'wrong';
    else if (['--from', '--to', '--sweep'].includes(name) && verdict === 'right') verdict = 'either';
  }
  if (random.uniform() < 0.04) {
    args.push(random.pick(['--nope', 'extra argument', '--stepz', '-q']));
    verdict = 'wrong';
  }
  return { args, verdict };
}

function collector(): Writable & { readonly text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return Object.assign(stream, { text: () => text });
}

const train = synthetic({ kind: 'images', n: 20, seed: 1 });
const test = synthetic({ kind: 'images', n: 10, seed: 2 });

const RAW =
  /Cannot (read|destructure|convert)|is not (iterable|a function)|Invalid (array|typed)|Maximum call stack|\[object |EISDIR: illegal/;

async function run(random: Random): Promise<void> {
  const base = join(folder(), 'cli');
  const cwd = join(base, 'work');
  rmSync(base, { recursive: true, force: true });
  mkdirSync(cwd, { recursive: true });
  writeFileSync(join(cwd, 'good.json'), JSON.stringify(random.pick(CONFIGS)));
  writeFileSync(join(cwd, 'bad.json'), '{"kind":');
  const examples = join(folder(), 'examples');
  mkdirSync(examples, { recursive: true });
  writeFileSync(join(examples, 'mlp.mjs'), '// An example.\n');
  const { args, verdict } = commandLine(random);
  const [stdout, stderr] = [collector(), collector()];
  const host: Host = {
    stdout,
    stderr,
    cwd,
    env: random.uniform() < 0.1 ? { COLUMNS: random.pick(['0', '1', 'x', '40', '1e9']) } : {},
    command: (subcommand) => `cyclegrad ${subcommand}`,
    onStop: () => () => undefined,
    quit: () => undefined,
    cifar10: () => Promise.resolve({ train, test }),
    examples,
    browserBuild: '',
    diagnoseGpu: () => Promise.reject(new Error('no GPU in this test')),
  };
  const code = await runCli(args, host);
  const told = (): string =>
    `${JSON.stringify(args)}: exit status ${code}\n${stderr.text().slice(-500)}${stdout.text().slice(-200)}`;
  const isDiverged = /not finite|must be a number|must be a finite number/.test(stderr.text());
  claim(code === 0 || code === 2 || (code === 1 && verdict === 'either' && isDiverged), told);
  claim(verdict !== 'right' || code === 0, () => `right use is refused: ${told()}`);
  claim(verdict !== 'wrong' || code === 2, () => `wrong use is accepted: ${told()}`);
  claim(code === 0 || stderr.text() !== '', () => `says nothing: ${told()}`);
  claim(!/^\s+at .*:\d+/m.test(stderr.text() + stdout.text()), () => `prints a stack: ${told()}`);
  claim(!RAW.test(stderr.text()), () => `prints a message of V8: ${told()}`);
  const numbers = code === 0 && args[0] === 'schedule' ? stdout.text() : '';
  claim(!/NaN|Infinity/.test(numbers), () => `prints numbers that are not finite: ${told()}`);
  claim(readdirSync(base).join() === 'work', () => `writes outside its folder: ${readdirSync(base).join()}`);
  if (code !== 0) outcomes.refused++;
  claimPrototypeIntact();
}

export const cli: FuzzTarget = { name: 'cli', run };
