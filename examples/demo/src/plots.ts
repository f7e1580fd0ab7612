/** The plots: the schedule, the loss and the accuracy. */
import uPlot, { type AlignedData, type Options, type Series } from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface PlotSpec {
  readonly host: HTMLElement;
  readonly height: number;
  readonly steps: number;
  readonly series: readonly Series[];
  readonly range: (min: number, max: number) => [number, number];
  readonly format: (value: number) => string;
  /** Draws behind the lines. */
  readonly behind?: (plot: uPlot) => void;
  /** Called after each drawing. */
  readonly onDraw?: (plot: uPlot) => void;
  /** Values of a logarithmic x axis, in place of steps. */
  readonly logarithmic?: boolean;
  readonly x?: [number, number];
}

const style = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const colors = () => ({
  cyclical: style('--blue'),
  fixed: style('--orange'),
  ink: style('--ink'),
  quiet: style('--quiet'),
  grid: style('--grid'),
  now: style('--line'),
  band: style('--band'),
});

const FONT = '12px system-ui, sans-serif';

/** A plot that follows the width of its host and is made again when the colors change. */
export class Plot {
  #plot: uPlot | null = null;
  #data: AlignedData = [[0]];
  readonly #make: () => PlotSpec;

  constructor(make: () => PlotSpec) {
    this.#make = make;
    const { host } = make();
    new ResizeObserver(() => this.#resize(host)).observe(host);
    this.restyle();
  }

  get u(): uPlot {
    return this.#plot!;
  }

  show(data: AlignedData): void {
    this.#data = data;
    this.#plot?.setData(data);
  }

  /** Draws again, without new data. */
  redraw(): void {
    this.#plot?.setData(this.#data);
  }

  restyle(): void {
    const spec = this.#make();
    this.#plot?.destroy();
    this.#plot = new uPlot(optionsOf(spec), this.#data, spec.host);
    spec.onDraw?.(this.#plot);
  }

  #resize(host: HTMLElement): void {
    const width = Math.floor(host.clientWidth);
    if (width > 0 && this.#plot !== null && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: this.#plot.height });
    }
  }
}

function optionsOf({
  host,
  height,
  steps,
  series,
  range,
  format,
  behind,
  onDraw,
  logarithmic,
  x,
}: PlotSpec): Options {
  const { quiet, grid } = colors();
  const axis = {
    stroke: quiet,
    font: FONT,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
  };
  return {
    width: Math.max(200, Math.floor(host.clientWidth)),
    height,
    pxAlign: false,
    legend: { show: false },
    cursor: {
      sync: { key: logarithmic ? 'range' : 'steps' },
      drag: { x: false, y: false },
      points: { size: 7 },
    },
    scales: {
      x: logarithmic ? { time: false, distr: 3 } : { time: false, range: x ?? [0, steps] },
      y: { range: (_, min, max) => range(min, max) },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: 60,
        ...(logarithmic && { values: (_, splits) => splits.map((v) => (isDecade(v) ? String(v) : '')) }),
      },
      {
        ...axis,
        size: 52,
        space: 32,
        values: (_, splits) => splits.map((v) => (v === null ? '' : format(v))),
      },
    ],
    series: [{}, ...series],
    hooks: {
      drawClear: behind === undefined ? [] : [behind],
      draw: onDraw === undefined ? [] : [onDraw],
    },
  };
}

const isDecade = (value: number | null): boolean =>
  value !== null && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;

/** Vertical lines where the rate is lowest, and one at the present step. */
export function drawMarks(plot: uPlot, ends: readonly number[], now: number | null): void {
  const { ctx, bbox } = plot;
  const line = (step: number, color: string, dash: number[]): void => {
    const at = Math.round(plot.valToPos(step, 'x', true)) + 0.5;
    ctx.save();
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash(dash);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  };
  const { band, now: present } = colors();
  for (const end of ends) line(end, band, []);
  if (now !== null) line(now, present, [4 * devicePixelRatio, 4 * devicePixelRatio]);
}
