/** Numbers as people read them on a terminal. */

/** 0.8142 as `81.42 %`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** Milliseconds as `12.3 s`, `4 min 5 s` or `2 h 3 min`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes as `171 MB` or `1.9 GB`: powers of ten, as download pages count. */
export function bytes(count: number): string {
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(0)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}
