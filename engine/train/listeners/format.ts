/** Formats of numbers and errors in text. */
import { checkInteger, checkNumber, show } from '../../options.ts';

/** Four significant digits without trailing zeros: 0.001, 2.303, 0.00005, 1e-7. */
export function number(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** Like `number`, but with trailing zeros, so the width of a changing line stays constant: 2.300. */
export function steady(value: number): string {
  return Number.isFinite(value) && Math.abs(value) < 1e4 ? value.toPrecision(4) : number(value);
}

/**
 * A fraction as a percentage, by default with one decimal.
 *
 * @example formatPercent(0.8142) // '81.4%'
 */
export function formatPercent(fraction: number, decimals = 1): string {
  if (typeof fraction !== 'number')
    throw new TypeError(`formatPercent: fraction must be a number, got ${show(fraction)}`);
  checkInteger('formatPercent', 'decimals', decimals, 0, 100);
  return Number.isFinite(fraction) ? `${(fraction * 100).toFixed(decimals)}%` : String(fraction);
}

/** 12345.6 -> 12,346. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/**
 * A duration in milliseconds as 0:42, 12:05 or 3:02:09.
 *
 * @example formatDuration(725_000) // '12:05'
 */
export function formatDuration(ms: number): string {
  checkNumber('formatDuration', 'ms', ms, 'a number of milliseconds');
  const seconds = Math.max(0, Math.round(ms / 1000));
  const pad = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

/** A metric with its name: accuracy as a percentage, others as numbers. */
export function metric(name: string, value: number): string {
  return name === 'accuracy' ? `accuracy ${formatPercent(value)}` : `${name} ${number(value)}`;
}

/** External text as one line without control characters. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- it removes control characters
  return text.replace(/\s+/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

/** An error in one line. */
export function message(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
