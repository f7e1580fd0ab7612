/** `cyclegrad find-lr`: the learning-rate range test on Caffe's CIFAR-10 networks. The defaults are those of Figure 3 of the paper. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { loader, meanImage } from '../../datasets/index.ts';
import {
  cycleBounds,
  lossTrend,
  lrRangeTest,
  meanCurve,
  progressBar,
  rangeBand,
  rangeSvg,
  rangeWarnings,
  suggestBounds,
  type CycleBounds,
  type RangeTest,
} from '../../engine/index.ts';
import { sgd } from '../../optim/index.ts';
import { addBackendOptions, startBackend, type BackendArguments } from '../options/backend.ts';
import { DATA_HELP, openCifar10 } from '../cifar10.ts';
import { EXIT_FAILURE, UsageError } from '../failure.ts';
import { EXIT_CODES, shellWord, type Host } from '../host.ts';
import { addNetOptions, NETS, type NetArguments } from '../options/nets.ts';
import { svgWriter } from '../options/svg-file.ts';
import { configWriter } from '../range/apply.ts';
import { plotOf, suggestionLines, warningLines } from '../range/text.ts';
import { widthOf } from '../terminal/plot.ts';
import { onStopSignal } from '../stop.ts';
import { notNegative, path, positive, whole } from '../options/values.ts';

interface FindArguments extends BackendArguments, NetArguments {
  readonly from?: number;
  readonly to: number;
  readonly steps: number;
  readonly sweep: 'linear' | 'exponential';
  readonly every?: number;
  readonly seed?: number;
  readonly seeds: number | readonly number[];
  readonly data?: string;
  readonly svg?: string;
  readonly apply?: string;
  readonly json?: boolean;
}

export function addFindLrCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  addNetOptions(addBackendOptions(program.command('find-lr')))
    .description(
      'Run the learning-rate range test on CIFAR-10, and suggest bounds for a cyclical rate.\n' +
        "The defaults are those of the paper's Figure 3: from 0 to 0.02 in 8 epochs, with test accuracy.",
    )
    .option('--from <rate>', 'lowest rate (default: 0, or 1e-6 for an exponential sweep)', notNegative)
    .option('--to <rate>', 'highest rate', positive, 0.02)
    .option('--steps <n>', 'updates of the sweep', whole(2, 1e9), 4000)
    .addOption(
      new Option(
        '--sweep <kind>',
        'linear: the rate grows by equal differences; exponential: by equal factors',
      )
        .choices(['linear', 'exponential'])
        .default('linear'),
    )
    .option(
      '--every <n>',
      'updates between evaluations on all test images; 0: no evaluations, only the loss (default: a twentieth of the steps)',
      whole(0),
    )
    .option('--seed <n>', 'seed of the first sweep (default: 1)', whole(0))
    .option(
      '--seeds <n|list>',
      'number of sweeps, with the seeds 1, 2, …; or their seeds, separated by commas',
      seedsOf,
      1,
    )
    .option('--data <dir>', DATA_HELP, path)
    .option('--svg <file>', 'also write the curves to an SVG file', path)
    .option(
      '--apply <file>',
      'write the suggested bounds into a configuration file of the command train',
      path,
    )
    .option('--json', 'print curves, the range over the seeds, suggestions, warnings and bounds as JSON')
    .action(async (options: FindArguments) => setCode(await findLr(host, options)));
}

/** The most sweeps of a test: more take days. */
const MOST_SWEEPS = 100;

function seedsOf(text: string): number | number[] {
  if (!text.includes(',')) return whole(1, MOST_SWEEPS)(text);
  let seeds: number[];
  try {
    seeds = text.split(',').map(whole(0));
  } catch {
    throw new InvalidArgumentError('Seeds must be whole numbers of 0 or more, separated by commas.');
  }
  const duplicate = seeds.find((seed, i) => seeds.indexOf(seed) < i);
  if (duplicate !== undefined) {
    throw new InvalidArgumentError(`Seeds must be different numbers, but ${duplicate} is repeated.`);
  }
  return seeds;
}

/** The seeds of the sweeps. */
function seedList({ seed, seeds }: Pick<FindArguments, 'seed' | 'seeds'>): readonly number[] {
  if (typeof seeds === 'number') return Array.from({ length: seeds }, (_, i) => (seed ?? 1) + i);
  if (seed === undefined) return seeds;
  throw new UsageError(
    `--seed ${seed}: --seeds ${seeds.join(',')} has the seeds already (pass a number of sweeps, --seeds ${seeds.length}, or omit --seed)`,
  );
}

async function findLr(host: Host, options: FindArguments): Promise<number> {
  const { net, to, steps, sweep, every = Math.ceil(steps / 20), batchSize } = options;
  const seeds = seedList(options);
  const from = options.from ?? (sweep === 'linear' ? 0 : 1e-6);
  if (sweep === 'exponential' && from === 0) {
    throw new UsageError(
      '--from 0: an exponential sweep must start above 0 (use for instance --from 1e-6, or --sweep linear)',
    );
  }
  if (to <= from) throw new UsageError(`--to ${to}: it must be above --from ${from}`);
  const writeSvg = svgWriter(host, options.svg);
  const writeConfig = configWriter(host, options.apply);
  const stop = onStopSignal(host, {
    onFirst: () => void host.stderr.write('stopping after this update (Ctrl-C again quits at once)\n'),
  });
  const backend = await startBackend(host, options);
  try {
    const { train, test } = await openCifar10(host, options.data, stop.signal);
    host.stderr.write(
      `${steps} updates from ${from} to ${to}, ${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}\n`,
    );
    const result = finished(
      await lrRangeTest({
        model: NETS[net]({ mean: meanImage(train) }),
        backend,
        data: loader(train, { batchSize, shuffle: false }),
        ...(every > 0 && { eval: { data: test, every } }),
        optimizer: (lr) => sgd({ lr, momentum: 0.9, weightDecay: 0.004, form: 'caffe' }),
        from,
        to,
        steps,
        sweep,
        seeds,
        signal: stop.signal,
        listeners: [progressBar({ stream: host.stderr })],
      }),
    );
    writeSvg(svgOf(result));
    const suggestions = result.curves.map((curve) => suggestBounds(curve));
    const warnings = rangeWarnings(result);
    const bounds = cycleBounds(result);
    const signal = stop.receivedSignal();
    const isApplied = options.apply !== undefined && bounds.max !== null && signal === null;
    if (isApplied) {
      const { base, max } = bounds;
      writeConfig({ net, batchSize, schedule: SCHEDULE, base, max }, { stepSize: HALF, steps: STEPS });
    }
    if (options.json === true) {
      const band = rangeBand(result.curves);
      host.stdout.write(`${JSON.stringify({ ...result, band, suggestions, warnings, bounds })}\n`);
    } else {
      const lines = [...suggestionLines(result), ...warningLines(warnings)];
      host.stdout.write(
        `${plotOf(result, { width: widthOf(host.stdout, host.env) })}\n${lines.join('\n')}\n\n`,
      );
    }
    (options.json === true ? host.stderr : host.stdout).write(nextText(host, options, bounds, isApplied));
    if (signal !== null) return EXIT_CODES[signal];
    return options.apply !== undefined && !isApplied ? EXIT_FAILURE : 0;
  } catch (error) {
    // A signal during the download aborts it, and there is no curve to show.
    const signal = stop.receivedSignal();
    if (signal === null || (error as Error).name !== 'AbortError') throw error;
    return EXIT_CODES[signal];
  } finally {
    stop.release();
    await backend.close();
  }
}

/** What the bounds are for. The defaults of the command train end in the middle of a cycle. */
const SCHEDULE = 'triangular2';
const HALF = 2000;
const STEPS = 24_000;

/** The test with the complete sweeps only, if there are any. */
function finished(test: RangeTest): RangeTest {
  const curves = test.curves.filter(({ end }) => end !== 'abort');
  return curves.length > 0 ? { ...test, curves } : test;
}

/** The bounds, and the command that trains with them. */
function nextText(
  host: Host,
  { net, batchSize, apply }: FindArguments,
  { base, max, why }: CycleBounds,
  isApplied: boolean,
): string {
  if (max === null) {
    return `bounds    none: ${why}\n${apply === undefined ? '' : `${apply} was not written\n`}`;
  }
  const words = isApplied
    ? ['--config', apply!]
    : [
        ...(net === 'full' ? [] : ['--net', net]),
        ...(batchSize === 100 ? [] : ['--batch-size', batchSize]),
        '--schedule',
        SCHEDULE,
        '--base',
        base,
        '--max',
        max,
        '--steps',
        STEPS,
      ];
  const command = [host.command('train'), ...words.map((word) => shellWord(String(word)))].join(' ');
  return (
    `bounds    base ${base}, max ${max}: ${why}\n` +
    `${isApplied ? `${apply} has them; to` : 'to'} train with them:\n  ${command}\n`
  );
}

/** The mean over the seeds, the range behind it, and the suggestions as SVG. */
function svgOf({ curves, sweep }: RangeTest): string {
  const curve = meanCurve(curves);
  const isOne = curves.length === 1;
  const band = rangeBand(curves);
  const picture = {
    label: isOne ? `seed ${curve.seed}` : `mean of ${curves.length} seeds`,
    evaluations: curve.evaluations,
    // The mean of the trends lies within their band. The trend of the mean can leave it where a sweep diverges.
    trend:
      band.loss.length > 0 ? band.loss.map(({ mean, ...at }) => ({ ...at, loss: mean })) : lossTrend(curve),
    suggestions: suggestBounds(curve),
  };
  return rangeSvg([picture], { sweep, ...(!isOne && { band }) });
}
