/** Formats of sizes. */

/** Bytes as `171 MB` or `1.9 GB`, in powers of ten. */
export function formatBytes(count: number): string {
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(0)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}
