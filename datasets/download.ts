/**
 * One file over HTTP, resumable and verified. What arrived stays in a folder of its own beside a note of where it
 * came from, so that the next run goes on where this one stopped.
 */
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataError } from '../engine/errors.ts';
import { codeOf, md5Of, orStorageError, sizeOf, StorageError } from './files.ts';
import type { OnData } from './progress.ts';

export interface Patience {
  /** Until the server answers. Short: without a network the next source should get its turn soon. */
  readonly connectMs: number;
  /** Between two pieces of the body. */
  readonly idleMs: number;
  /** Attempts in a row that bring nothing new. */
  readonly attempts: number;
  /** Before the second attempt; doubles after each. */
  readonly retryMs: number;
}

export const PATIENCE: Patience = { connectMs: 8000, idleMs: 30_000, attempts: 4, retryMs: 1000 };

export interface Download {
  readonly url: string;
  /** Hexadecimal digits. */
  readonly md5: string;
  /** An existing folder that belongs to this download alone. */
  readonly dir: string;
  readonly patience?: Patience;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnData | undefined;
}

/** What identifies the version of the file of which a part is held. */
interface Origin {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** The body of the download inside its folder. */
export const BODY = 'archive';
const ORIGIN = 'origin.json';
const REPORT_EVERY = 1 << 20;

/** Tells a failure that the same request would meet again from one that another attempt may cure. */
class Permanent extends DataError {}

/** The reason a request failed, without the layers that fetch wraps around it. */
export function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error && !(inner instanceof DataError))
    inner = inner.cause;
  if (inner instanceof AggregateError && inner.errors.length > 0) return reasonOf(inner.errors[0]);
  if (!(inner instanceof Error)) return String(inner);
  const code = codeOf(inner);
  return code === '' || inner.message.includes(code) ? inner.message : `${inner.message} (${code})`;
}

async function readOrigin(dir: string, url: string): Promise<Origin | null> {
  try {
    const origin = JSON.parse(await readFile(`${dir}/${ORIGIN}`, 'utf8')) as Origin;
    return origin.url === url ? origin : null;
  } catch {
    return null; // missing or half-written: what was downloaded cannot be trusted either
  }
}

/** One request: appends what is missing, or starts over when the server will not continue. Returns when complete. */
async function attempt(at: Download, patience: Patience, gained: (bytes: number) => void): Promise<void> {
  const path = `${at.dir}/${BODY}`;
  const origin = await readOrigin(at.dir, at.url);
  let have = origin === null ? 0 : ((await sizeOf(path)) ?? 0);

  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (have > 0) {
    headers['range'] = `bytes=${have}-`;
    // A weak tag promises the same meaning, not the same bytes: it must not join two halves.
    const strong = origin?.etag?.startsWith('W/') === false ? origin.etag : null;
    const validator = strong ?? origin?.lastModified;
    if (validator) headers['if-range'] = validator;
  }

  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const expect = (ms: number, what: string): void => {
    clearTimeout(timer);
    timer = setTimeout(() => late.abort(new DataError(`${what} within ${ms / 1000} s`)), ms);
  };
  const signal = at.signal === undefined ? late.signal : AbortSignal.any([late.signal, at.signal]);
  try {
    expect(patience.connectMs, 'no answer');
    const response = await fetch(at.url, { headers, signal });
    const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    let total: number | null = null;
    if (response.status === 206 && range !== null && Number(range[1]) === have) {
      total = range[2] === '*' ? null : Number(range[2]);
    } else if (response.status === 200) {
      have = 0;
      const length = response.headers.get('content-length');
      total = length === null ? null : Number(length);
      const etag = response.headers.get('etag');
      const next: Origin = { url: at.url, etag, lastModified: response.headers.get('last-modified') };
      await rm(`${at.dir}/${ORIGIN}`, { force: true }); // never the new note beside the old bytes
      await (await open(path, 'w')).close();
      await writeFile(`${at.dir}/${ORIGIN}`, JSON.stringify(next));
    } else {
      await response.body?.cancel();
      if (response.status === 416 || response.status === 206) {
        if (have > 0 && range?.[2] === String(have)) return; // the last run was stopped between the end and the check
        if (have > 0) {
          clearTimeout(timer);
          await rm(path, { force: true }); // the server cannot go on from here
          return await attempt(at, patience, gained);
        }
      }
      const text = `HTTP ${response.status} ${response.statusText}`.trimEnd();
      const passing = response.status >= 500 || response.status === 408 || response.status === 429;
      throw passing ? new DataError(text) : new Permanent(text);
    }

    gained(have); // it answers: worth another attempt, whatever becomes of this one
    const file = await open(path, 'a');
    try {
      let reported = have;
      at.onProgress?.({ phase: 'download', source: at.url, done: have, total });
      expect(patience.idleMs, 'no data');
      for await (const chunk of response.body ?? []) {
        await file.writeFile(chunk);
        have += chunk.length;
        gained(have);
        if (have - reported >= REPORT_EVERY) {
          reported = have;
          at.onProgress?.({ phase: 'download', source: at.url, done: have, total });
        }
        expect(patience.idleMs, 'no data');
      }
      await file.sync();
    } finally {
      await file.close();
    }
    at.onProgress?.({ phase: 'download', source: at.url, done: have, total: total ?? have });
    if (total !== null && have !== total) {
      throw new DataError(`the connection ended after ${have} of ${total} bytes`);
    }
  } catch (error) {
    at.signal?.throwIfAborted();
    throw late.signal.aborted ? late.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Downloads `url` into `dir` and returns the path of the verified file.
 *
 * Goes on after a broken connection, in this run as long as each attempt brings bytes, and in a later run from the
 * same `dir`. An aborted download keeps its part. Throws DataError with the reason, or the signal's reason.
 */
export async function download(at: Download): Promise<string> {
  const patience = at.patience ?? PATIENCE;
  const path = `${at.dir}/${BODY}`;
  for (;;) {
    const before = (await readOrigin(at.dir, at.url)) === null ? 0 : ((await sizeOf(path)) ?? 0);
    let most = before;
    let answered = false;
    for (let failures = 0; ;) {
      const reached = most;
      try {
        await attempt(at, patience, (bytes) => {
          answered = true;
          most = Math.max(most, bytes);
        });
        break;
      } catch (error) {
        at.signal?.throwIfAborted();
        const failure = orStorageError(error, at.dir);
        failures = most > reached ? 1 : failures + 1;
        // Not even a beginning: this server is away, and the next source should not have to wait.
        if (
          !answered ||
          failures >= patience.attempts ||
          failure instanceof StorageError ||
          error instanceof Permanent
        ) {
          throw failure instanceof DataError ? failure : new DataError(reasonOf(error), { cause: error });
        }
        at.onProgress?.({ phase: 'notice', message: `${at.url}: ${reasonOf(error)}; trying again` });
        await sleep(patience.retryMs * 2 ** (failures - 1), undefined, { signal: at.signal }).catch(
          () => undefined,
        );
        at.signal?.throwIfAborted();
      }
    }

    const sum = await md5Of(path, at.url, at.onProgress, at.signal);
    if (sum === at.md5) return path;
    const bytes = await sizeOf(path);
    await rm(path, { force: true }); // corrupt bytes are never resumed
    await rm(`${at.dir}/${ORIGIN}`, { force: true });
    if (before === 0)
      throw new DataError(`wrong checksum: ${bytes} bytes with MD5 ${sum}, expected ${at.md5}`);
    // Joined from the parts of two runs, it may be wrong only because the file changed in between.
    at.onProgress?.({ phase: 'notice', message: `${at.url}: the resumed file is corrupt; starting afresh` });
  }
}
