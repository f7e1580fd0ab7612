/** Numbers as text. */

/** Four significant digits without trailing zeros: 0.001, 2.303, 1e-7. */
export const short = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);

export const percent = (fraction: number): string =>
  Number.isFinite(fraction) ? `${(fraction * 100).toFixed(1)}%` : String(fraction);

export const thousands = (value: number): string =>
  value >= 10 ? Math.round(value).toLocaleString('en-US') : short(value);

/** Milliseconds as 0:42, 12:05 or 3:02:09. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const pad = (n: number): string => String(n).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}
