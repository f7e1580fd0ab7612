/**
 * Shards: files of images that are decoded and resized. The name of a shard is a digest of the names, sizes and times of its images and of
 * the options, so a change of either gives another name.
 *
 *   'cyclegrad images 1\n'   magic
 *   u32                      length of the header, little endian
 *   header                   JSON: the digest of each image, or why it cannot be used
 *   digest                   SHA-256 of the header, 32 bytes
 *   images                   [height, width, channels] bytes each, without those that cannot be used
 */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import type { InputData } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { codeOf, isLeftover, namesIn, nodeFiles, removeFile, replaceFile } from '../../engine/files.ts';
import type { OnData } from '../progress.ts';
import { readImageInto } from './file.ts';
import { named, type DecodeOptions } from './image.ts';
import type { Size } from './resize.ts';
import type { LabeledFile } from './scan.ts';
import { Turns } from './turns.ts';

/** The largest shard. All of its images are in memory while it is written. */
const SHARD_BYTES = 2 ** 25;
// Browsers load this file, too, and have no Buffer.
const MAGIC = new TextEncoder().encode('cyclegrad images 1\n');
const DIGEST_BYTES = 32;
const ENDING = '.shard';

export interface ShardsSpec {
  /** The folder of the images. */
  readonly root: string;
  /** The folder that gets a folder of shards. */
  readonly folder: string;
  readonly files: readonly LabeledFile[];
  readonly format: Size & DecodeOptions;
  readonly workers: number;
  readonly onError?: 'report' | 'skip' | 'stop';
  readonly onProgress?: OnData;
  readonly signal?: AbortSignal;
}

export interface Shards {
  /** Why files cannot be used, by their position. */
  readonly failed: ReadonlyMap<number, string>;
  /** Writes the image of file `i` at `offset`. Throws DataError for a damaged shard, which is removed. */
  load(i: number, out: InputData, offset: number): Promise<void>;
}

/** For each image its digest, 16 hexadecimal digits, or why it cannot be used. */
type Entry = { readonly digest: string } | { readonly reason: string };

interface Shard {
  readonly path: string;
  readonly entries: readonly Entry[];
  /** Where the images begin. */
  readonly start: number;
}

const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();
const digestOf = (image: Uint8Array): string => sha256(image).toString('hex', 0, 8);

/** Opens the shards of a folder of images. Writes those that are missing or damaged. */
export async function openShards(spec: ShardsSpec): Promise<Shards> {
  const { root, files, format, workers, onProgress, onError, signal } = spec;
  const item = format.height * format.width * format.channels;
  const each = Math.max(1, Math.floor(SHARD_BYTES / item));
  const id = sha256(JSON.stringify([root, format])).toString('hex', 0, 6);
  const folder = join(spec.folder, `${basename(root)}-${id}`);
  const turns = new Turns(workers);
  const marks = await Promise.all(files.map(({ path }) => turns.take(() => markOf(root, path))));
  const shards: Shard[] = [];
  for (let first = 0; first < files.length; first += each) {
    signal?.throwIfAborted();
    const part = files.slice(first, first + each);
    const key = sha256(JSON.stringify({ format, files: marks.slice(first, first + each) }));
    const path = join(folder, `${key.toString('hex', 0, 16)}${ENDING}`);
    let shard = await readHeader(path, part.length, item);
    if (shard === null || shard === 'damaged') {
      if (shard === 'damaged')
        onProgress?.({ phase: 'notice', message: `${path}: the shard is damaged, so it is written again` });
      shard = await writeShard(path, part, { ...spec, turns, item });
    }
    const bad = shard.entries.findIndex((entry) => 'reason' in entry);
    if (bad >= 0 && onError === 'stop')
      throw new DataError(`${part[bad].path}: ${(shard.entries[bad] as { reason: string }).reason}`);
    shards.push(shard);
    onProgress?.({ phase: 'convert', source: root, done: first + part.length, total: files.length });
  }
  await removeOthers(folder, new Set(shards.map(({ path }) => basename(path))));

  const failed = new Map<number, string>();
  /** The position of each image in its shard. */
  const positions = new Uint32Array(files.length);
  shards.forEach(({ entries }, s) => {
    let position = 0;
    entries.forEach((entry, i) => {
      if ('reason' in entry) failed.set(s * each + i, entry.reason);
      else positions[s * each + i] = position++;
    });
  });
  return {
    failed,
    async load(i, out, offset) {
      const { path, entries, start } = shards[Math.floor(i / each)];
      const image = new Uint8Array(item);
      const entry = entries[i % each] as { readonly digest: string };
      const isWhole = await named(path, readAt(path, image, start + positions[i] * item));
      if (!isWhole || digestOf(image) !== entry.digest) {
        await removeFile(nodeFiles, path);
        throw new DataError(
          `${path}: the shard is damaged at the image ${files[i].path}; it was removed, and imageFolder writes it again`,
        );
      }
      out.set(image, offset);
    },
  };
}

/** What a file is known by: its name, size and time. One that is gone cannot be read either. */
async function markOf(root: string, path: string): Promise<readonly (string | number)[]> {
  const name = relative(root, path).split(sep).join('/');
  const stats = await stat(path).catch(() => null);
  return stats === null ? [name] : [name, stats.size, stats.mtimeMs];
}

/** Fills an array from a position of a file. False if the file ends before. Throws DataError without the path. */
async function readAt(path: string, into: Uint8Array, position: number): Promise<boolean> {
  try {
    const file = await open(path);
    try {
      for (let done = 0; done < into.length;) {
        const { bytesRead } = await file.read(into, done, into.length - done, position + done);
        if (bytesRead === 0) return false;
        done += bytesRead;
      }
      return true;
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new DataError(`the shard cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** The header of a shard with `count` entries. Null if there is no file. */
async function readHeader(path: string, count: number, item: number): Promise<Shard | 'damaged' | null> {
  const size = await stat(path).then(
    (stats) => stats.size,
    (error: unknown) => {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
      throw new DataError(`${path}: the shard cannot be read: ${(error as Error).message}`, { cause: error });
    },
  );
  if (size === null) return null;
  const head = Buffer.alloc(MAGIC.length + 4);
  if (!(await named(path, readAt(path, head, 0))) || !head.subarray(0, MAGIC.length).equals(MAGIC))
    return 'damaged';
  const length = head.readUInt32LE(MAGIC.length);
  if (head.length + length + DIGEST_BYTES > size) return 'damaged';
  const rest = Buffer.alloc(length + DIGEST_BYTES);
  if (!(await named(path, readAt(path, rest, head.length)))) return 'damaged';
  const text = rest.subarray(0, length);
  if (!sha256(text).equals(rest.subarray(length))) return 'damaged';
  const entries = JSON.parse(text.toString()) as readonly Entry[];
  const start = head.length + rest.length;
  const good = entries.filter((entry) => 'digest' in entry).length;
  return entries.length === count && size === start + good * item ? { path, entries, start } : 'damaged';
}

/** Decodes the images of a shard and writes it. After a crash, the path has all of it or nothing. */
async function writeShard(
  path: string,
  files: readonly LabeledFile[],
  { format, turns, item, signal }: ShardsSpec & { readonly turns: Turns; readonly item: number },
): Promise<Shard> {
  const pixels = new Uint8Array(files.length * item);
  const imageAt = (i: number): Uint8Array => pixels.subarray(i * item, (i + 1) * item);
  const entries = await Promise.all(
    files.map((file, i) =>
      turns.take(async (): Promise<Entry> => {
        signal?.throwIfAborted();
        try {
          await readImageInto(file.path, format, pixels, i * item);
          return { digest: digestOf(imageAt(i)) };
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          return { reason: error.message };
        }
      }),
    ),
  );
  const text = Buffer.from(JSON.stringify(entries));
  const head = Buffer.alloc(MAGIC.length + 4);
  head.set(MAGIC);
  head.writeUInt32LE(text.length, MAGIC.length);
  const images = entries.flatMap((entry, i) => ('digest' in entry ? [imageAt(i)] : []));
  try {
    await replaceFile(nodeFiles, path, [head, text, sha256(text), ...images]);
  } catch (cause) {
    throw new DataError(
      `${path}: the shard cannot be written: ${(cause as Error).message} (free space there, or pass another folder as shards)`,
      { cause },
    );
  }
  return { path, entries, start: head.length + text.length + DIGEST_BYTES };
}

/** Removes shards of images or options that have changed, and what processes left that have ended. */
async function removeOthers(folder: string, used: ReadonlySet<string>): Promise<void> {
  for (const name of await namesIn(nodeFiles, folder)) {
    const path = join(folder, name);
    if ((name.endsWith(ENDING) && !used.has(name)) || isLeftover(nodeFiles, path))
      await removeFile(nodeFiles, path);
  }
}
