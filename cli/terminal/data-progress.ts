/** The progress of downloads: bars on a terminal, plain lines elsewhere. */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { DataEvent, OnData } from '../../datasets/index.ts';
import { formatDuration } from '../../engine/index.ts';
import { formatBytes } from './format.ts';
import type { Output } from '../host.ts';

const LINE_MS = 10_000;
const BAR_WIDTH = 24;
const VERBS = {
  download: 'downloading',
  unpack: 'unpacking',
  convert: 'converting',
  verify: 'verifying',
  read: 'reading',
} as const;
/** Phases that count files instead of bytes. */
const FILES: readonly string[] = ['convert', 'read'];

type Progress = Exclude<DataEvent, { readonly phase: 'notice' }>;

export interface DataProgress {
  readonly onProgress: OnData;
  /** Restores the terminal. It must always be called at the end. */
  readonly stop: () => void;
}

export function dataProgress(stream: Output, now: () => number = () => performance.now()): DataProgress {
  return stream.isTTY ? bars(stream, now) : lines(stream, now);
}

/** Events with the same key share a bar. All verified files share one. */
const keyOf = (event: Progress): string =>
  event.phase === 'verify' ? event.phase : `${event.phase} ${event.source}`;

function measure({ phase, done, total }: Progress): string {
  const files = FILES.includes(phase);
  const text = files ? String : formatBytes;
  const unit = files ? ' files' : '';
  return `${text(done)}${total === null ? '' : ` of ${text(total)}`}${unit}`;
}

/** The speed and the remaining time. Empty in the first second, when both are inaccurate. */
function speed({ phase, done, total }: Progress, first: number, ms: number): string {
  if (ms < 1000 || done <= first || FILES.includes(phase)) return '';
  const rate = (done - first) / ms;
  const left = total === null || done >= total ? '' : `, ${formatDuration((total - done) / rate)} left`;
  return `, ${formatBytes(rate * 1000)}/s${left}`;
}

function bars(stream: Output, now: () => number): DataProgress {
  // As in the progress bar of the engine: the cursor stays visible, line wrapping stays on, and we handle Ctrl-C.
  const all = new MultiBar({
    stream,
    fps: 10,
    forceRedraw: true,
    hideCursor: false,
    linewrap: true,
    gracefulExit: false,
    emptyOnZero: true,
    format: (_options, { maxWidth }, payload: { readonly event: Progress; readonly speed: string }) => {
      const { event } = payload;
      const fraction = event.total === null || event.total === 0 ? 0 : Math.min(1, event.done / event.total);
      const filled = Math.round(fraction * BAR_WIDTH);
      const bar = `[${'='.repeat(filled)}${' '.repeat(BAR_WIDTH - filled)}]`;
      const percent = event.total === null ? '' : `  ${Math.floor(fraction * 100)}%`;
      const text = `${VERBS[event.phase]}${percent}  ${measure(event)}${payload.speed}`;
      const line = `${bar}  ${text}`;
      return (event.total !== null && line.length < maxWidth ? line : text).slice(0, maxWidth - 1);
    },
  });
  // The bars redraw themselves with a timer, which must not keep the process alive.
  all.on('update-post', () => (all as unknown as { timer?: NodeJS.Timeout | null }).timer?.unref());

  let current: {
    readonly key: string;
    readonly bar: SingleBar;
    readonly from: number;
    readonly at: number;
  } | null = null;
  return {
    onProgress(event) {
      if (event.phase === 'notice') {
        all.log(`${event.message}\n`);
        all.update();
        return;
      }
      const key = keyOf(event);
      const total = event.total ?? event.done + 1;
      if (current?.key !== key) {
        if (event.phase !== 'verify') all.log(`${VERBS[event.phase]} ${event.source}\n`);
        const bar = all.create(total, event.done, { event, speed: '' });
        current = { key, bar, from: event.done, at: now() };
      }
      current.bar.setTotal(total);
      current.bar.update(event.done, { event, speed: speed(event, current.from, now() - current.at) });
    },
    stop: () => all.stop(),
  };
}

function lines(stream: Output, now: () => number): DataProgress {
  let current: { key: string; from: number; at: number; shown: number; done: boolean } | null = null;
  return {
    onProgress(event) {
      if (event.phase === 'notice') {
        stream.write(`${event.message}\n`);
        return;
      }
      const key = keyOf(event);
      if (current?.key !== key) {
        current = { key, from: event.done, at: now(), shown: now(), done: false };
        if (event.phase === 'verify') stream.write('verifying the files\n');
        else stream.write(`${VERBS[event.phase]} ${event.source}\n`);
      }
      const finished = event.total !== null && event.done >= event.total && event.phase !== 'verify';
      if ((finished && !current.done) || now() - current.shown >= LINE_MS) {
        current.shown = now();
        current.done = finished;
        stream.write(
          `${VERBS[event.phase]}: ${measure(event)}${speed(event, current.from, now() - current.at)}\n`,
        );
      }
    },
    stop: () => undefined,
  };
}
