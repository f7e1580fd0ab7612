/** The images that a path names: folders of classes, folders of parts, or a table of paths and labels. */
import { readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import {
  inspectImages,
  type ImageInspection,
  type InspectedImage,
  type LabeledFile,
  type OnData,
  type SkippedFile,
} from '../../datasets/index.ts';
import { UsageError } from '../failure.ts';

export type Part = 'train' | 'valid' | 'test';

/** An image, and its part where the path says so. */
export interface SourceImage extends InspectedImage {
  readonly part: Part | null;
}

export interface Source {
  /** The absolute path. */
  readonly path: string;
  /** 'classes': a folder for each class. 'parts': folders train, valid, test with a folder for each class. 'table': a CSV file. */
  readonly layout: 'classes' | 'parts' | 'table';
  readonly classes: readonly string[];
  readonly images: readonly SourceImage[];
  readonly problems: readonly SkippedFile[];
  /** Groups of indices of `images` whose files have the same bytes. */
  readonly copies: readonly (readonly number[])[];
}

export interface SourceOptions {
  /** Default: those of the folders or of the table. */
  readonly classes?: readonly string[] | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: OnData;
}

/** The names of folders of parts, in lower case. */
const PARTS: Readonly<Record<string, Part>> = {
  train: 'train',
  training: 'train',
  val: 'valid',
  valid: 'valid',
  validation: 'valid',
  dev: 'valid',
  test: 'test',
  testing: 'test',
};

/** Throws UsageError for a path without images, with the layouts that are possible. */
export async function openSource(path: string, options: SourceOptions): Promise<Source> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      `${path}: ${error.code === 'ENOENT' ? 'there is no such folder or file' : `cannot be read: ${error.message}`} ` +
        '(pass a folder with a folder of images for each class, or a CSV file of paths and labels)',
    );
  });
  if (!stats.isDirectory()) return openTable(path, options);
  const folders = (await readdir(path, { withFileTypes: true })).filter(
    (entry) => !entry.name.startsWith('.'),
  );
  const parts = folders.flatMap(({ name }) => {
    const part = PARTS[name.toLowerCase()];
    return part === undefined ? [] : [{ part, dir: join(path, name) }];
  });
  if (parts.some(({ part }) => part === 'train')) {
    return openParts(path, parts, options);
  }
  const inspection = await inspectImages(path, inspectOptions(options));
  return { ...source(path, 'classes', inspection, () => null) };
}

const inspectOptions = ({ classes, ...rest }: SourceOptions) => ({
  ...rest,
  ...(classes !== undefined && { classes }),
});

function source(
  path: string,
  layout: Source['layout'],
  { classes, images, problems, copies }: ImageInspection,
  partOf: (image: InspectedImage) => Part | null,
): Source {
  const withParts = images.map((image) => ({ ...image, part: partOf(image) }));
  return { path, layout, classes, images: withParts, problems, copies };
}

async function openParts(
  path: string,
  parts: readonly { readonly part: Part; readonly dir: string }[],
  options: SourceOptions,
): Promise<Source> {
  const twice = parts.find(({ part }, i) => parts.findIndex((other) => other.part === part) < i);
  if (twice !== undefined) {
    const names = parts.filter(({ part }) => part === twice.part).map(({ dir }) => relative(path, dir));
    throw new UsageError(`${path}: ${names.join(' and ')} mean the same (keep one of them)`);
  }
  // The classes of the training images, which all parts share.
  const training = parts.find(({ part }) => part === 'train')!;
  const first = await inspectImages(training.dir, inspectOptions(options));
  const files: (LabeledFile & { readonly part: Part })[] = [];
  const problems = [...first.problems];
  const add = (part: Part, { images, problems: more }: ImageInspection): void => {
    files.push(...images.map(({ path: file, label }) => ({ path: file, label, part })));
    if (part !== 'train') problems.push(...more);
  };
  add('train', first);
  for (const { part, dir } of parts) {
    if (part !== 'train')
      add(part, await inspectImages(dir, inspectOptions({ ...options, classes: first.classes })));
  }
  // Once more as one list, because copies matter most across the parts.
  const all = await inspectImages(files, inspectOptions({ ...options, classes: first.classes }));
  const partOf = new Map(files.map(({ path: file, part }) => [file, part]));
  return source(path, 'parts', { ...all, problems }, (image) => partOf.get(image.path) ?? null);
}

/** Names of columns, in lower case. */
const PATH_COLUMNS = [
  'path',
  'file',
  'filename',
  'file_name',
  'filepath',
  'image',
  'image_path',
  'name',
  'id',
];
const LABEL_COLUMNS = ['label', 'labels', 'class', 'category', 'target', 'y'];
const PART_COLUMNS = ['part', 'split', 'set', 'subset'];

async function openTable(path: string, options: SourceOptions): Promise<Source> {
  const rows = readTable(path);
  const classes = options.classes ?? [...new Set(rows.map(({ label }) => label))].sort();
  const partOf = new Map<string, Part | null>();
  const files = rows.map(({ file, label, part, line }) => {
    const at = classes.indexOf(label);
    if (at < 0) {
      throw new UsageError(`${path}:${line}: '${label}' is not one of the classes: ${classes.join(', ')}`);
    }
    const absolute = resolve(dirname(path), file);
    if (partOf.has(absolute))
      throw new UsageError(`${path}:${line}: ${file} is there twice (remove one of the rows)`);
    partOf.set(absolute, part);
    return { path: absolute, label: at };
  });
  const inspection = await inspectImages(files, inspectOptions({ ...options, classes }));
  return source(path, 'table', inspection, (image) => partOf.get(image.path) ?? null);
}

interface Row {
  readonly file: string;
  readonly label: string;
  readonly part: Part | null;
  readonly line: number;
}

interface Parsed {
  readonly record: Readonly<Record<string, string>>;
  readonly info: { readonly lines: number };
}

/** The rows of a table with a header. */
function readTable(path: string): readonly Row[] {
  let parsed: readonly Parsed[];
  try {
    // With `info`, each record comes with its line.
    parsed = parse(readFileSync(path), {
      bom: true,
      columns: (names: readonly string[]) => names.map((name) => name.trim().toLowerCase()),
      delimiter: [',', ';', '\t'],
      info: true,
      skip_empty_lines: true,
      trim: true,
    }) as unknown as readonly Parsed[];
  } catch (cause) {
    throw new UsageError(`${path}: not a table that can be read: ${(cause as Error).message}`, { cause });
  }
  if (parsed.length === 0)
    throw new UsageError(`${path}: the table has no rows (pass a CSV file with a header and rows)`);
  const names = Object.keys(parsed[0].record);
  const column = (known: readonly string[]): string | undefined => known.find((name) => names.includes(name));
  const [file, label, part] = [column(PATH_COLUMNS), column(LABEL_COLUMNS), column(PART_COLUMNS)];
  if (file === undefined || label === undefined) {
    throw new UsageError(
      `${path}: the header must name a column of paths (${PATH_COLUMNS.join(', ')}) and one of labels ` +
        `(${LABEL_COLUMNS.join(', ')}), but it is: ${names.join(', ')}`,
    );
  }
  return parsed.map(({ record, info }) => {
    const line = info.lines;
    for (const name of [file, label]) {
      if (record[name] === '') throw new UsageError(`${path}:${line}: the column '${name}' is empty`);
    }
    const word = part === undefined ? '' : record[part].toLowerCase();
    if (word !== '' && PARTS[word] === undefined) {
      throw new UsageError(`${path}:${line}: the part '${word}' is not train, valid or test`);
    }
    return { file: record[file], label: record[label], part: PARTS[word] ?? null, line };
  });
}
