/** What the data looks like, as lines for people. */
import { relative } from 'node:path';
import type { SkippedFile } from '../../datasets/index.ts';
import type { Part, Source } from './sources.ts';

/** Lines of a list; more are counted. */
const LISTED = 8;
/** Classes that a table shows. */
const CLASSES = 20;

export interface Described {
  readonly source: Source;
  /** Files that could not be decoded, besides `source.problems`. */
  readonly damaged: readonly SkippedFile[];
  /** Groups of indices of images that look alike or are copies. */
  readonly alike: readonly (readonly number[])[];
  /** The images of each part. */
  readonly parts: Readonly<Record<Part, Uint32Array>>;
  /** The file and the label of each example. */
  readonly files: readonly { readonly path: string; readonly label: number }[];
  readonly cwd: string;
}

const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];

/** The typical size of the images of a source. */
export const typicalSize = ({ images }: Source): { readonly width: number; readonly height: number } => ({
  width: median(images.map(({ width }) => width)),
  height: median(images.map(({ height }) => height)),
});

/** The lines of `cyclegrad train PATH` about its data. */
export function describeData(described: Described): string[] {
  const { source, damaged, files, cwd } = described;
  const { classes, images, problems, path } = source;
  const layout = {
    classes: 'a folder for each class',
    parts: 'folders of training and test images',
    table: 'a table of paths and labels',
  }[source.layout];
  const lines = [
    `${relative(cwd, path) || '.'}: ${plural(files.length, 'image')} in ${plural(classes.length, 'class', 'classes')} (${layout})`,
    ...classTable(described),
    `sizes      ${sizes(images)}`,
    `formats    ${counted(images.map(({ format }) => format))}`,
  ];
  const unusable = [...problems, ...damaged];
  if (unusable.length > 0) {
    lines.push(`left out   ${plural(unusable.length, 'file')} that cannot be used:`);
    lines.push(...listed(unusable, ({ path: file, reason }) => `${relative(cwd, file)}: ${reason}`));
  }
  return [...lines, ...duplicates(described)];
}

function classTable({ source: { classes }, files, parts }: Described): string[] {
  const names = (['train', 'valid', 'test'] as const).filter((part) => parts[part].length > 0);
  const width = Math.max(5, ...classes.map((name) => name.length));
  const count = (part: Part, label: number): number =>
    parts[part].filter((i) => files[i].label === label).length;
  const total = (label: number): number => names.reduce((sum, part) => sum + count(part, label), 0);
  const rows = classes
    .slice(0, CLASSES)
    .map((name, label) =>
      [`  ${name.padEnd(width)}`, ...names.map((part) => String(count(part, label)).padStart(7))].join(''),
    );
  const more = classes.length - CLASSES;
  const totals = classes.map((_, label) => total(label));
  const [least, most] = [Math.min(...totals), Math.max(...totals)];
  return [
    `  ${'class'.padEnd(width)}${names.map((part) => part.padStart(7)).join('')}`,
    ...rows,
    ...(more > 0 ? [`  and ${plural(more, 'more class', 'more classes')}`] : []),
    ...(most >= 3 * least
      ? [
          `imbalance  ${classes[totals.indexOf(most)]} has ${most} images, ${classes[totals.indexOf(least)]} has ${least}: ` +
            'accuracy alone says little about the small class',
        ]
      : []),
  ];
}

function sizes(images: Source['images']): string {
  const text = ({ width, height }: { readonly width: number; readonly height: number }): string =>
    `${width}x${height}`;
  const distinct = new Set(images.map(text));
  if (distinct.size === 1) return `all ${[...distinct][0]}`;
  const byArea = [...images].sort((a, b) => a.width * a.height - b.width * b.height);
  return `${text(byArea[0])} to ${text(byArea[byArea.length - 1])}, median ${text(byArea[byArea.length >> 1])}`;
}

function counted(words: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([word, n]) => `${n} ${word}`)
    .join(', ');
}

function listed<T>(items: readonly T[], text: (item: T) => string): string[] {
  const more = items.length - LISTED;
  return [
    ...items.slice(0, LISTED).map((item) => `  ${text(item)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** Groups of images that look alike: within a class, across classes, and across training and test images. */
function duplicates({ alike, files, parts, cwd }: Described): string[] {
  if (alike.length === 0) return [];
  const trains = new Set(parts.train);
  const name = (i: number): string => relative(cwd, files[i].path);
  const show = (group: readonly number[]): string => group.map(name).join(' = ');
  const leaks = alike.filter(
    (group) => group.some((i) => trains.has(i)) && group.some((i) => !trains.has(i)),
  );
  const contradictions = alike.filter((group) => group.some((i) => files[i].label !== files[group[0]].label));
  const images = alike.reduce((sum, group) => sum + group.length, 0);
  return [
    `alike      ${plural(images, 'image')} in ${plural(alike.length, 'group')} are copies or look alike`,
    ...listed(alike, show),
    ...(contradictions.length > 0
      ? [
          `warning    ${plural(contradictions.length, 'group')} of these are in several classes, so their labels contradict each other:`,
          ...listed(contradictions, show),
        ]
      : []),
    ...(leaks.length > 0
      ? [
          `warning    ${plural(leaks.length, 'group')} of these are in both the training and the test images, which makes the test too good:`,
          ...listed(
            leaks,
            (group) =>
              `${show(group.filter((i) => trains.has(i)))} = ${show(group.filter((i) => !trains.has(i)))}`,
          ),
        ]
      : []),
  ];
}
