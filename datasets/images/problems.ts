/** Errors about files that cannot be used. */
import { DataError } from '../../engine/errors.ts';
import type { FoundImages, SkippedFile } from './scan.ts';

/** Files that one message names. */
const MAX_NAMED = 20;

const line = ({ path, reason }: SkippedFile): string => `${path}: ${reason}`;

export const firstError = ([first]: readonly SkippedFile[]): DataError => new DataError(line(first));

function listed(skipped: readonly SkippedFile[]): string {
  const more = skipped.length - MAX_NAMED;
  const lines = skipped.slice(0, MAX_NAMED).map(line);
  return [...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n  ');
}

export function reportError(
  where: string,
  root: string,
  skipped: readonly SkippedFile[],
  found: FoundImages,
): DataError {
  const { files, problems } = found;
  const fix = `${where}: onError: 'skip' leaves such files out`;
  if (skipped.length === 1) return new DataError(`${line(skipped[0])} (${fix})`);
  return new DataError(
    `${root}: ${skipped.length} of ${files.length + problems.length} files cannot be used (${fix}):\n  ${listed(skipped)}`,
  );
}

export function nothingError(root: string, skipped: readonly SkippedFile[]): DataError {
  const found = skipped.length === 0 ? '' : `, ${skipped.length} other files:\n  ${listed(skipped)}`;
  return new DataError(`${root}: there are no images that can be used (add some)${found}`);
}

export function checkNoneEmpty(root: string, { classes }: FoundImages, labels: Int32Array): void {
  const used = new Set(labels);
  const empty = classes.filter((_, label) => !used.has(label));
  if (empty.length === 0) return;
  throw new DataError(
    `${root}: ${empty.length === 1 ? 'the class has' : 'classes have'} no images: ${empty.join(', ')} ` +
      `(add some, remove the folder, or pass allowEmpty: true)`,
  );
}
