/** `cyclegrad schedule`: a schedule as a plot in the terminal, an SVG, or numbers. */
import type { Command } from 'commander';
import { curveSvg } from '../../engine/index.ts';
import { notices, type Schedule } from '../../schedulers/index.ts';
import type { Host } from '../host.ts';
import { svgWriter } from '../options/svg-file.ts';
import { plotText, widthOf } from '../terminal/plot.ts';
import { chooseSchedule, scheduleNames, scheduleOptions, type RateOptions } from '../options/schedules.ts';
import { path, whole } from '../options/values.ts';

interface ScheduleArguments extends RateOptions {
  readonly steps: number;
  readonly svg?: string;
  readonly json?: boolean;
}

/** The number of values in the SVG and in --json, enough to show every corner of a run. */
const SAMPLES = 2000;

export function addScheduleCommand(program: Command, host: Host): void {
  const command = program
    .command('schedule')
    .argument('<name|json|file>', `${scheduleNames.join(', ')}, a JSON object, or the path of a JSON file`)
    .description('Plot a schedule in the terminal, and print warnings about it.')
    .option('--steps <n>', 'number of updates', whole(2, 1e9), 25_000);
  for (const option of scheduleOptions()) command.addOption(option);
  command
    .option('--svg <file>', 'also write the plot to an SVG file', path)
    .option('--json', 'print the config and the values as JSON')
    .action((argument: string, options: ScheduleArguments) => {
      const { name, schedule } = chooseSchedule(argument, options, host.cwd, 'schedule');
      const writeSvg = svgWriter(host, options.svg);
      const points = sample(schedule, options.steps);
      const panels = [{ left: { label: 'learning rate' } }];
      writeSvg(curveSvg([{ label: name, points }], { panels, title: name, height: 420 }));
      if (options.json === true) {
        host.stdout.write(`${JSON.stringify({ config: schedule.config, steps: options.steps, points })}\n`);
        return;
      }
      host.stdout.write(describe(name, schedule, options.steps, points, widthOf(host.stdout, host.env)));
    });
}

/** The values at up to `SAMPLES` steps of a run, including the first and the last. */
function sample(schedule: Schedule, steps: number): [number, number][] {
  const count = Math.min(steps, SAMPLES);
  return Array.from({ length: count }, (_, i) => {
    const step = Math.round((i * (steps - 1)) / Math.max(count - 1, 1));
    return [step, schedule(step)];
  });
}

/** The lowest and the highest value. Very long runs are sampled. */
function extremes(schedule: Schedule, steps: number): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  const stride = Math.ceil(steps / 1e6);
  for (let step = 0; step < steps; step += stride) {
    const value = schedule(step);
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

const short = (x: number): string => Number(x.toPrecision(5)).toString();

function describe(
  name: string,
  schedule: Schedule,
  steps: number,
  points: readonly (readonly [number, number])[],
  width: number,
): string {
  const values = points.map(([, value]) => value);
  const plot = plotText(values, {
    from: 'step 0',
    to: `step ${steps - 1}`,
    width,
    format: (x) => Number(x.toPrecision(3)).toString(),
  });
  const [low, high] = extremes(schedule, steps);
  const facts = [
    `${name}, ${steps} steps: from ${short(values[0])} to ${short(values[values.length - 1])}, between ${short(low)} and ${short(high)}`,
    ...notices(schedule, steps).map(({ message }) => `notice: ${message}`),
  ];
  return `${plot}\n${facts.join('\n')}\n`;
}
