/** The page: what the visitor chooses, and what the two networks do with it. */
import type { Report } from 'cyclegrad';
import type uPlot from 'uplot';
import { Contest, SIDES, type Side } from './contest.ts';
import { byId, segmented, showRate } from './dom.ts';
import { Gallery } from './gallery.ts';
import { Handles, type HandleSpec } from './handles.ts';
import { OwnPictures } from './own.ts';
import type { Source } from './pictures.ts';
import { colors, drawMarks, Plot } from './plots.ts';
import { RangePanel } from './range.ts';
import { Record as Log } from './record.ts';
import { Runs } from './runs.ts';
import type { POLICIES } from './schedule.ts';
import {
  cycleAt,
  DEFAULTS,
  endsOf,
  heightAt,
  scheduleOf,
  STEPS,
  tidy,
  wordsOf,
  type Choice,
} from './schedule.ts';
import { constant } from 'cyclegrad/schedulers';
import './style.css';

const SITE: Source = { kind: 'site', url: new URL('./pictures/', document.baseURI).href };

let choice: Choice = DEFAULTS;
let source: Source = SITE;
let contest: Contest | null = null;
let ended = false;
let failed = false;
/** Whether rates changed during the run. */
let changed = false;
let logs = newLogs();

function newLogs(): Record<Side, Log> {
  return { cyclical: new Log(STEPS), fixed: new Log(STEPS) };
}

/** Steps that both networks have done. */
const now = (): number => Math.min(logs.cyclical.step, logs.fixed.step);
const ratesOf = () => ({ cyclical: scheduleOf(choice), fixed: constant(choice.fixed) });

// --- Plots

const X = Array.from({ length: STEPS + 1 }, (_, step) => step);
const points = { show: false };
let top = topRate();
let dragging = false;

/** The upper end of the axis of the rate. It rests while a handle moves. */
function topRate(): number {
  return 1.18 * Math.max(choice.max, choice.fixed);
}

const ends = (): readonly number[] => endsOf(choice);
const marks = (plot: uPlot): void => drawMarks(plot, ends(), contest === null ? null : now());

// --- Handles

const cycle = (): number => cycleAt(choice, now());
const handleSpecs: readonly HandleSpec[] = [
  {
    name: 'Upper bound and step size',
    side: 'cyclical',
    horizontal: true,
    place: () => {
      const k = cycle();
      const { base, max, stepSize, policy } = choice;
      if (policy === 'fixed') return { step: STEPS * 0.06, rate: max };
      return { step: (2 * k + 1) * stepSize, rate: base + (max - base) * heightAt(choice, k) };
    },
    describe: () => `upper bound ${showRate(choice.max)}, step size ${choice.stepSize}`,
    move({ step, rate }) {
      const k = cycle();
      const { base, policy } = choice;
      const stepSize = policy === 'fixed' ? choice.stepSize : step / (2 * k + 1);
      choose({ stepSize, max: base + (rate - base) / heightAt(choice, k) });
    },
    nudge: (steps, factor) => choose({ stepSize: choice.stepSize + steps, max: choice.max * factor }),
  },
  {
    name: 'Lower bound',
    side: 'cyclical',
    horizontal: false,
    place: () => {
      const { policy, base, stepSize } = choice;
      if (policy === 'fixed') return null;
      if (policy === 'one-cycle') return { step: 0, rate: base };
      return { step: Math.min(STEPS, 2 * (cycle() + 1) * stepSize), rate: base };
    },
    describe: () => `lower bound ${showRate(choice.base)}`,
    move: ({ rate }) => choose({ base: Math.min(rate, choice.max / 1.1) }),
    nudge: (_, factor) => choose({ base: choice.base * factor }),
  },
  {
    name: 'Fixed rate',
    side: 'fixed',
    horizontal: false,
    place: () => ({ step: STEPS * 0.97, rate: choice.fixed }),
    describe: () => `fixed rate ${showRate(choice.fixed)}`,
    move: ({ rate }) => choose({ fixed: rate }),
    nudge: (_, factor) => choose({ fixed: choice.fixed * factor }),
  },
];
const handles = new Handles(handleSpecs, (is) => {
  dragging = is;
  document.body.classList.toggle('dragging', is);
  if (is) return;
  top = topRate();
  draw();
});

// --- The three plots

const ratePlot = new Plot(() => {
  const { cyclical, fixed } = colors();
  const planned = (stroke: string) => ({ stroke, width: 1.5, dash: [5, 5], points });
  const done = (stroke: string) => ({ stroke, width: 2.5, points });
  return {
    host: byId('plot-rate'),
    height: 200,
    steps: STEPS,
    series: [planned(cyclical), planned(fixed), done(cyclical), done(fixed)],
    range: () => [0, top],
    format: showRate,
    behind: marks,
    onDraw: (plot) => handles.place(plot),
  };
});
const curve = (
  id: string,
  height: number,
  range: (min: number, max: number) => [number, number],
  dots: boolean,
) => {
  const { cyclical, fixed } = colors();
  const line = (stroke: string) => ({
    stroke,
    width: 2,
    spanGaps: true,
    points: dots ? { show: true, size: 4, fill: stroke, stroke } : points,
  });
  return {
    host: byId(id),
    height,
    steps: STEPS,
    series: [line(cyclical), line(fixed)],
    range,
    format: (value: number) => String(Number(value.toPrecision(3))),
    behind: marks,
  };
};
/** Once networks are good, their start would flatten what the rate does to them. */
const accuracyRange = (min: number, max: number): [number, number] => [
  Math.max(0, (min ?? 0) - 3, (max ?? 0) - 28),
  Math.min(100, (max ?? 60) + 4),
];
const accuracyPlot = new Plot(() => curve('plot-accuracy', 240, accuracyRange, true));
const lossPlot = new Plot(() =>
  curve('plot-loss', 160, (_, max) => [0, Math.min(4, (max ?? 2.5) * 1.05)], false),
);

// --- Choices

const selectPolicy = segmented(
  byId('policies'),
  {
    triangular: 'triangular',
    triangular2: 'triangular2',
    exp_range: 'exp_range',
    'one-cycle': 'one cycle',
    fixed: 'fixed',
  },
  (policy: (typeof POLICIES)[number]) => choose({ policy }),
);
const inputs = (['base', 'max', 'stepSize', 'fixed'] as const).map((name) => {
  const input = byId<HTMLInputElement>(name);
  input.addEventListener('change', () => {
    const value = input.valueAsNumber;
    choose(Number.isFinite(value) ? { [name]: value } : {});
  });
  return [name, input] as const;
});

/** Takes another choice, for the plot and for the networks that train. */
function choose(change: Partial<Choice>): void {
  choice = tidy({ ...choice, ...change });
  if (!dragging) top = topRate();
  showChoice();
  const { cyclical, fixed } = ratesOf();
  if (contest !== null && !ended) {
    changed = true;
    if (['policy', 'base', 'max', 'stepSize'].some((name) => name in change)) {
      contest.reschedule('cyclical', cyclical);
    }
    if ('fixed' in change) contest.reschedule('fixed', fixed);
  }
  draw();
}

function showChoice(): void {
  selectPolicy(choice.policy);
  for (const [name, input] of inputs) {
    input.value = name === 'stepSize' ? String(choice.stepSize) : String(Number(choice[name].toPrecision(3)));
    const unused = choice.policy === 'fixed' && (name === 'base' || name === 'stepSize');
    input.disabled = unused;
  }
}

// --- Drawing

/** What is drawn, with the time of its last drawing. One of them is drawn in a frame, so that no frame takes long. */
const drawings = [showRates, showAccuracies, showLosses, showScores].map((act) => ({
  act,
  due: false,
  last: -Infinity,
}));
/** The least time between two drawings of one plot, in milliseconds. */
const REST = 150;
let waiting = false;

/** Draws everything again, soon. */
function draw(): void {
  for (const drawing of drawings) drawing.due = true;
  if (!waiting) requestAnimationFrame(drawNext);
  waiting = true;
}

function drawNext(time: number): void {
  const [next] = drawings
    .filter(({ due, last, act }) => due && (time - last >= REST || (dragging && act === showRates)))
    .sort((one, other) => one.last - other.last);
  if (next !== undefined) {
    [next.due, next.last] = [false, time];
    next.act();
  }
  waiting = drawings.some(({ due }) => due);
  if (waiting) requestAnimationFrame(drawNext);
}

function showRates(): void {
  const rates = ratesOf();
  const planned = (side: Side): (number | null)[] =>
    X.map((step) => (step >= logs[side].step && step < STEPS ? rates[side](step) : null));
  ratePlot.show([X, planned('cyclical'), planned('fixed'), logs.cyclical.rates, logs.fixed.rates]);
}

function showAccuracies(): void {
  accuracyPlot.show([X, logs.cyclical.accuracies, logs.fixed.accuracies]);
}

function showLosses(): void {
  lossPlot.show([X, logs.cyclical.losses, logs.fixed.losses]);
}

function showScores(): void {
  const rates = ratesOf();
  for (const side of SIDES) {
    const { accuracy, best, step } = logs[side];
    byId(`${side}-accuracy`).textContent = accuracy === null ? '–' : `${accuracy.toFixed(1)}%`;
    byId(`${side}-rate`).textContent = `rate ${showRate(rates[side](Math.min(step, STEPS - 1)))}`;
    byId(`${side}-best`).textContent = best === null ? '' : `best ${best.toFixed(1)}%`;
  }
  showStatus();
}

function showStatus(): void {
  const start = byId<HTMLButtonElement>('start');
  start.textContent =
    contest === null
      ? 'Train'
      : ended
        ? failed
          ? 'Train again'
          : `Train with seed ${nextSeed()}`
        : contest.paused
          ? 'Continue'
          : 'Pause';
  byId<HTMLButtonElement>('reset').disabled = contest === null;
  const { msPerStep } = logs.cyclical;
  const left =
    msPerStep === null
      ? ''
      : `, ${Math.round(1000 / Math.max(msPerStep, logs.fixed.msPerStep ?? 0))} steps/s`;
  byId('status').textContent =
    contest === null
      ? 'It takes about half a minute'
      : ended
        ? failed
          ? `Stopped at step ${now()}`
          : `Done: ${STEPS} steps`
        : logs.cyclical.step === 0 && !contest.paused
          ? 'Loading pictures and kernels…'
          : `Step ${now()} of ${STEPS}${contest.paused ? ', paused' : left}`;
}

// --- Training

const gallery = new Gallery(byId('gallery'), byId('guessed'));
const message = byId('message');
const seed = byId<HTMLInputElement>('seed');
const seedValue = (): number => {
  const value = Math.round(seed.valueAsNumber);
  const valid = Number.isFinite(value) && value >= 0 && value <= 999_999 ? value : 1;
  seed.value = String(valid);
  return valid;
};

const nextSeed = (): number => (seedValue() + 1) % 1_000_000;
const runs = new Runs(byId('runs-table'), byId('runs'), byId('runs-text'));

function addRun(): void {
  const [cyclical, fixed] = SIDES.map((side) => logs[side].accuracy ?? 0);
  const own = source === SITE ? '' : ', your pictures';
  const setting = changed ? `changed during the run${own}` : wordsOf(choice) + own;
  runs.add({ seed: seedValue(), setting, accuracies: { cyclical, fixed } });
}

function begin(): void {
  message.hidden = true;
  logs = newLogs();
  [ended, failed, changed] = [false, false, false];
  gallery.clear();
  contest = new Contest({
    source,
    steps: STEPS,
    seed: seedValue(),
    rates: ratesOf(),
    onEvent(side, event) {
      logs[side].add(event);
      if (event.type === 'start') showMachine(event.report);
      draw();
    },
    onSample: (sample) => gallery.show(sample),
    onGuesses: (side, guesses) => gallery.guess(side, guesses),
    onEnd() {
      ended = true;
      addRun();
      draw();
    },
    onError(error) {
      [ended, failed] = [true, true];
      message.textContent = explain(error);
      message.hidden = false;
      draw();
    },
  });
  draw();
}

/** An error for the visitor: of the most frequent one, what to do. */
const explain = (error: Error): string =>
  /not finite/.test(error.message)
    ? 'A rate was so high that the loss is not a number any more. Lower it and train again.'
    : error.message;

function toggle(): void {
  if (contest === null || ended) {
    // A finished run would be the same again, so that the next one takes another seed.
    if (ended && !failed) seed.value = String(nextSeed());
    contest?.close();
    begin();
  } else if (contest.paused) contest.resume();
  else contest.pause();
  draw();
}

function reset(): void {
  contest?.close();
  contest = null;
  ended = false;
  logs = newLogs();
  message.hidden = true;
  gallery.clear();
  draw();
}

byId('start').addEventListener('click', toggle);
byId('reset').addEventListener('click', reset);
seed.addEventListener('change', reset);
byId('defaults').addEventListener('click', () => choose(DEFAULTS));

const rangePanel = new RangePanel(({ base, max }) => choose({ base, max }));
byId('range').addEventListener('click', () => {
  // Both would share the processor.
  if (contest !== null && !ended) contest.pause();
  rangePanel.start(source, seedValue());
  draw();
});

// --- Pictures

new OwnPictures((chosen) => {
  source = chosen;
  reset();
  begin();
  scrollTo({ top: 0, behavior: 'smooth' });
});
const selectSource = segmented(
  byId('sources'),
  { site: 'CIFAR-10', own: 'Your own' },
  (kind: 'site' | 'own') => {
    byId('own-pictures').hidden = kind === 'site';
    describeSource(kind);
    if (kind === 'site' && source !== SITE) {
      source = SITE;
      reset();
    }
  },
);
function describeSource(kind: 'site' | 'own'): void {
  byId('source-text').textContent =
    kind === 'site'
      ? '4,000 training pictures and 1,000 test pictures of CIFAR-10, 32 by 32 pixels.'
      : 'Your pictures stay in this browser. Each is cropped to a square and reduced to 32 by 32 pixels; every fifth is for the test.';
}
// A file that misses the target must not replace the page.
for (const type of ['dragover', 'drop'] as const) addEventListener(type, (event) => event.preventDefault());

// --- The page

function showMachine(report: Report): void {
  if (report.backend !== 'wasm') return;
  const { threads, fallback } = report;
  const each = `Each network has ${threads === 1 ? 'one thread' : `${threads} threads`} of its own.`;
  const why = crossOriginIsolated || fallback === null ? '' : ` It has no more because of this: ${fallback}.`;
  byId('machine').textContent = each + why;
}

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target as HTMLElement;
  if (on.closest('input, textarea, select') !== null) return;
  if (event.key === 'r' || event.key === 'R') reset();
  // On a button, the space bar presses it.
  if (event.key === ' ' && on.closest('button') === null) {
    event.preventDefault();
    toggle();
  }
});

const prefersDark = matchMedia('(prefers-color-scheme: dark)');
const restyle = (): void => {
  for (const plot of [ratePlot, accuracyPlot, lossPlot]) plot.restyle();
  rangePanel.restyle();
};
prefersDark.addEventListener('change', restyle);
byId('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset['theme'] === undefined ? prefersDark.matches : root.dataset['theme'] === 'dark';
  root.dataset['theme'] = dark ? 'light' : 'dark';
  restyle();
});

selectSource('site');
describeSource('site');
showChoice();
// At once: a plot without data of its own cannot be drawn.
for (const { act } of drawings) act();
byId('start').focus({ preventScroll: true });
