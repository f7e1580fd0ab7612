/** `cyclegrad schedule`: what a schedule does, as a plot in the terminal, an SVG, or numbers. */
import type { Command } from 'commander';
import { curveSvg } from '../engine/index.ts';
import { notices, type Schedule } from '../schedulers/index.ts';
import type { Host } from './host.ts';
import { pictureAt } from './picture.ts';
import { plotText, widthOf } from './plot.ts';
import { chooseSchedule, scheduleNames, scheduleOptions, type RateOptions } from './schedules.ts';
import { path, whole } from './values.ts';

interface ScheduleArguments extends RateOptions {
  readonly steps: number;
  readonly svg?: string;
  readonly json?: boolean;
}

/** Values of the SVG and of --json: enough for every corner of a run of any length. */
const SAMPLES = 2000;

export function addScheduleCommand(program: Command, host: Host): void {
  const command = program
    .command('schedule')
    .argument('<name|json|file>', `${scheduleNames.join(', ')}, a JSON object, or the path of a JSON file`)
    .description('Plot a schedule in the terminal, and note what is worth knowing about it.')
    .option('--steps <n>', 'length of the run', whole(2, 1e9), 25_000);
  for (const option of scheduleOptions()) command.addOption(option);
  command
    .option('--svg <file>', 'also write it as a picture', path)
    .option('--json', 'print its config, and values over the run, as JSON')
    .action((given: string, options: ScheduleArguments) => {
      const { name, schedule } = chooseSchedule(given, options, host.cwd, 'schedule');
      const writePicture = pictureAt(host, options.svg);
      const points = sample(schedule, options.steps);
      const panels = [{ left: { label: 'learning rate' } }];
      writePicture(curveSvg([{ label: name, points }], { panels, title: name, height: 420 }));
      if (options.json === true) {
        host.stdout.write(`${JSON.stringify({ config: schedule.config, steps: options.steps, points })}\n`);
        return;
      }
      host.stdout.write(describe(name, schedule, options.steps, points, widthOf(host.stdout, host.env)));
    });
}

/** Values at most `SAMPLES` steps of a run, its first and its last among them. */
function sample(schedule: Schedule, steps: number): [number, number][] {
  const count = Math.min(steps, SAMPLES);
  return Array.from({ length: count }, (_, i) => {
    const step = Math.round((i * (steps - 1)) / Math.max(count - 1, 1));
    return [step, schedule(step)];
  });
}

/** Lowest and highest value, over all steps of all but the longest runs. */
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
    `${name}, ${steps} steps: from ${short(values[0])} to ${short(values.at(-1))}, between ${short(low)} and ${short(high)}`,
    ...notices(schedule, steps).map(({ message }) => `notice: ${message}`),
  ];
  return `${plot}\n${facts.join('\n')}\n`;
}
