/** How listeners write numbers for people. */

/** Four significant digits without trailing zeros: 0.001, 2.303, 0.00005, 1e-7. */
export function number(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** The same with its trailing zeros, so that a line does not twitch while it changes: 2.300. */
export function steady(value: number): string {
  return Number.isFinite(value) && Math.abs(value) < 1e4 ? value.toPrecision(4) : number(value);
}

/** 0.8142 -> 81.4%. */
export function percent(value: number): string {
  return Number.isFinite(value) ? `${(value * 100).toFixed(1)}%` : String(value);
}

/** 12345.6 -> 12,346. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** Milliseconds as 0:42, 12:05 or 3:02:09. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const pad = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

/** A metric by its name: shares as percent, everything else as a number. */
export function metric(name: string, value: number): string {
  return name === 'accuracy' ? `accuracy ${percent(value)}` : `${name} ${number(value)}`;
}

/** Text from elsewhere, made safe for a line of its own. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it is about
  return text.replace(/\s+/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '');
}

/** An error in one line. */
export function message(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
