/** `cyclegrad find-lr`: the learning-rate range test on Caffe's CIFAR-10 networks. The defaults are those of Figure 3 of the paper. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { loader, meanImage } from '../../datasets/index.ts';
import {
  formatPercent,
  lossTrend,
  lrRangeTest,
  progressBar,
  rangeSvg,
  suggestBounds,
  type RangeCurve,
  type RangeTest,
} from '../../engine/index.ts';
import { sgd } from '../../optim/index.ts';
import { addBackendOptions, startBackend, type BackendArguments } from '../options/backend.ts';
import { DATA_HELP, openCifar10 } from '../cifar10.ts';
import { UsageError } from '../failure.ts';
import { EXIT_CODES, type Host } from '../host.ts';
import { addNetOptions, NETS, type NetArguments } from '../options/nets.ts';
import { svgWriter } from '../options/svg-file.ts';
import { plotText, widthOf } from '../terminal/plot.ts';
import { onStopSignal } from '../stop.ts';
import { notNegative, path, positive, whole } from '../options/values.ts';

interface FindArguments extends BackendArguments, NetArguments {
  readonly from?: number;
  readonly to: number;
  readonly steps: number;
  readonly sweep: 'linear' | 'exponential';
  readonly every?: number;
  readonly seeds: readonly number[];
  readonly data?: string;
  readonly svg?: string;
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
    .option('--seeds <list>', 'seeds, separated by commas; one sweep for each', seedList, [1])
    .option('--data <dir>', DATA_HELP, path)
    .option('--svg <file>', 'also write the curves to an SVG file', path)
    .option('--json', 'print curves and suggestions as JSON')
    .action(async (options: FindArguments) => setCode(await findLr(host, options)));
}

function seedList(text: string): number[] {
  let seeds: number[];
  try {
    seeds = text.split(',').map(whole(0));
  } catch {
    throw new InvalidArgumentError('It must be whole numbers of 0 or more, separated by commas.');
  }
  const duplicate = seeds.find((seed, i) => seeds.indexOf(seed) < i);
  if (duplicate !== undefined) {
    throw new InvalidArgumentError(`It must be different numbers, but ${duplicate} is repeated.`);
  }
  return seeds;
}

async function findLr(host: Host, options: FindArguments): Promise<number> {
  const { net, to, steps, sweep, every = Math.ceil(steps / 20), seeds, batchSize } = options;
  const from = options.from ?? (sweep === 'linear' ? 0 : 1e-6);
  if (sweep === 'exponential' && from === 0) {
    throw new UsageError(
      '--from 0: an exponential sweep must start above 0 (use for instance --from 1e-6, or --sweep linear)',
    );
  }
  if (to <= from) throw new UsageError(`--to ${to}: it must be above --from ${from}`);
  const writeSvg = svgWriter(host, options.svg);
  const stop = onStopSignal(host, {
    onFirst: () => void host.stderr.write('stopping after this update (Ctrl-C again quits at once)\n'),
  });
  const backend = await startBackend(host, options);
  try {
    const { train, test } = await openCifar10(host, options.data, stop.signal);
    host.stderr.write(
      `${steps} updates from ${from} to ${to}, ${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}\n`,
    );
    const result = await lrRangeTest({
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
    });
    if (options.json === true) {
      const suggestions = result.curves.map((curve) => suggestBounds(curve));
      host.stdout.write(`${JSON.stringify({ ...result, suggestions })}\n`);
    } else {
      for (const curve of result.curves)
        host.stdout.write(describe(curve, result, widthOf(host.stdout, host.env)));
      if (result.curves.length > 1) host.stdout.write(spreadText(result));
    }
    writeSvg(svgOf(result));
    const signal = stop.receivedSignal();
    return signal === null ? 0 : EXIT_CODES[signal];
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

/** The curves with their suggestions as SVG. */
const svgOf = ({ curves, sweep }: RangeTest): string =>
  rangeSvg(
    curves.map((curve) => ({
      label: `seed ${curve.seed}`,
      evaluations: curve.evaluations,
      trend: lossTrend(curve),
      suggestions: suggestBounds(curve),
    })),
    { sweep },
  );

const short = (x: number): string => Number(x.toPrecision(3)).toString();

function describe(curve: RangeCurve, { from, to }: RangeTest, width: number): string {
  const { points, evaluations, end, seed } = curve;
  const hasAccuracy = evaluations.length > 1;
  const trend = lossTrend(curve);
  const curvePoints = hasAccuracy ? evaluations : trend.length > 0 ? trend : points;
  const values = hasAccuracy
    ? evaluations.map(({ accuracy }) => accuracy ?? NaN)
    : curvePoints.map(({ loss }) => loss);
  const what = hasAccuracy ? 'test accuracy' : 'loss';
  const last = curvePoints.at(-1);
  const reached = last?.lr ?? from;
  const head = `seed ${seed}: ${what} against the rate${end === 'done' ? '' : ` (${end} at ${short(reached)})`}\n`;
  if (last === undefined || values.length < 2) return `${head}too short for a curve\n`;
  const suggestions = Object.entries(suggestBounds(curve));
  const first = curvePoints[0].step;
  const plot = plotText(values, {
    from: short(from),
    to: short(end === 'done' ? to : reached),
    width,
    format: hasAccuracy ? formatPercent : decimalsFor(values),
    // The updates of a sweep are equally spaced on its axis, linear or logarithmic.
    marks: suggestions.flatMap(([label, { step }]) =>
      step === null ? [] : [{ label, at: (step - first) / (last.step - first) }],
    ),
  });
  const lines = suggestions.map(([name, { lr, step, why }]) =>
    lr === null ? `${name.padEnd(10)}none: ${why}` : `${name.padEnd(10)}${short(lr)} (update ${step})`,
  );
  return `${head}${plot}\n${lines.join('\n')}\n\n`;
}

/** A format with enough decimals to distinguish the lines of a plot. */
function decimalsFor(values: readonly number[]): (x: number) => string {
  const usable = values.filter(Number.isFinite);
  const span = Math.max(...usable) - Math.min(...usable);
  const decimals = span > 0 ? Math.min(8, Math.max(3, Math.ceil(1 - Math.log10(span)))) : 3;
  return (x) => x.toFixed(decimals);
}

/** The range of each suggestion over the seeds. */
function spreadText({ curves }: RangeTest): string {
  const all = curves.map((curve) => suggestBounds(curve));
  const lines = Object.keys(all[0]).map((name) => {
    const rates = all.flatMap((one) => one[name as keyof typeof one].lr ?? []).sort((a, b) => a - b);
    const range = rates.length === 0 ? 'none' : `${short(rates[0])} … ${short(rates[rates.length - 1])}`;
    return `${name.padEnd(10)}${range} (${rates.length} of ${curves.length} seeds)`;
  });
  return `over the seeds:\n${lines.join('\n')}\n`;
}
