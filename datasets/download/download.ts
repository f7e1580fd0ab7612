/**
 * Downloads one file over HTTP, resumably, and verifies it. A folder holds the partial file and its origin, so the next run
 * resumes the download.
 */
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataError } from '../../engine/errors.ts';
import { codeOf, fileSize, md5Of, orStorageError, StorageError } from './files.ts';
import type { OnData } from '../progress.ts';

/** Timeouts and retries of a download, in milliseconds. */
export interface RetryPolicy {
  /** Timeout of the response. It is short because without a network, the next source should be tried soon. */
  readonly connectMs: number;
  /** Timeout between two chunks of the body. */
  readonly idleMs: number;
  /** Maximum number of consecutive attempts that download no new bytes. */
  readonly attempts: number;
  /** Delay before the second attempt. It doubles with each attempt. */
  readonly retryMs: number;
}

export const RETRY: RetryPolicy = { connectMs: 8000, idleMs: 30_000, attempts: 4, retryMs: 1000 };

export interface Download {
  readonly url: string;
  /** As hexadecimal digits. */
  readonly md5: string;
  /** An existing folder, used by this download only. */
  readonly dir: string;
  readonly retry?: RetryPolicy;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnData | undefined;
  /** The largest file that is accepted. Default: 1 GiB. */
  readonly mostBytes?: number;
}

/** Identifies the version of the partially downloaded file. */
interface Origin {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** The largest download. A server that never ends its answer must not fill the disk. CIFAR-10 has 170 MB. */
const MOST_BYTES = 2 ** 30;
const MOST_REDIRECTS = 5;

/** The name of the downloaded file in its folder. */
export const BODY = 'archive';
const ORIGIN = 'origin.json';
const REPORT_EVERY = 1 << 20;

/** A failure that would repeat with the same request. Others may succeed with another attempt. */
class PermanentError extends DataError {}

/** An answer that is longer than a file may be. */
class TooLongError extends PermanentError {
  constructor(most: number) {
    super(`the file has more than ${most} bytes`);
  }
}

/** Throws DataError unless the address is HTTPS, or HTTP of this machine. */
function refuseInsecure(url: URL): void {
  const { protocol, hostname } = url;
  if (protocol === 'https:') return;
  if (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname)) return;
  throw new PermanentError(`${url.href} is not an address of HTTPS (use one that begins with https://)`);
}

/** A request that follows redirects, each to HTTPS only. */
async function get(address: string, init: RequestInit): Promise<Response> {
  let url = new URL(address);
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    refuseInsecure(url);
    // oxlint-disable-next-line no-await-in-loop -- the answer has the next address
    const response = await fetch(url, { ...init, redirect: 'manual' });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    // oxlint-disable-next-line no-await-in-loop -- frees the connection
    await response.body?.cancel();
    url = new URL(location, url);
  }
  throw new PermanentError(`more than ${MOST_REDIRECTS} redirects`);
}

/** The reason why a request failed, without the errors that fetch wraps around it. */
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
    return null; // missing or incomplete: the downloaded part cannot be trusted either
  }
}

/** One request: appends the missing bytes, or starts over if the server cannot resume. Returns when the file is complete. */
async function attempt(
  at: Required<Pick<Download, 'mostBytes'>> & Download,
  retry: RetryPolicy,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const path = `${at.dir}/${BODY}`;
  const origin = await readOrigin(at.dir, at.url);
  let done = origin === null ? 0 : ((await fileSize(path)) ?? 0);

  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (done > 0) {
    headers['range'] = `bytes=${done}-`;
    // A weak tag guarantees the same meaning, not the same bytes, so it cannot validate a range.
    const strong = origin?.etag?.startsWith('W/') === false ? origin.etag : null;
    const validator = strong ?? origin?.lastModified;
    if (validator) headers['if-range'] = validator;
  }

  const timeout = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const expect = (ms: number, what: string): void => {
    clearTimeout(timer);
    timer = setTimeout(() => timeout.abort(new DataError(`${what} within ${ms / 1000} s`)), ms);
  };
  const signal = at.signal === undefined ? timeout.signal : AbortSignal.any([timeout.signal, at.signal]);
  try {
    expect(retry.connectMs, 'no response');
    const response = await get(at.url, { headers, signal });
    const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    let total: number | null = null;
    if (response.status === 206 && range !== null && Number(range[1]) === done) {
      total = range[2] === '*' ? null : Number(range[2]);
    } else if (response.status === 200) {
      done = 0;
      const length = response.headers.get('content-length');
      total = length === null ? null : Number(length);
      const etag = response.headers.get('etag');
      const next: Origin = { url: at.url, etag, lastModified: response.headers.get('last-modified') };
      await rm(`${at.dir}/${ORIGIN}`, { force: true }); // the new origin must never be beside the old bytes
      await (await open(path, 'w')).close();
      await writeFile(`${at.dir}/${ORIGIN}`, JSON.stringify(next));
    } else {
      await response.body?.cancel();
      if (response.status === 416 || response.status === 206) {
        if (done > 0 && range?.[2] === String(done)) return; // the last run stopped before the checksum
        if (done > 0) {
          clearTimeout(timer);
          await rm(path, { force: true }); // the server cannot resume from here
          return await attempt(at, retry, onBytes);
        }
      }
      const text = `HTTP ${response.status} ${response.statusText}`.trimEnd();
      const isTransient = response.status >= 500 || response.status === 408 || response.status === 429;
      throw isTransient ? new DataError(text) : new PermanentError(text);
    }

    onBytes(done); // the server responds, so another attempt is worthwhile
    if (total !== null && total > at.mostBytes) {
      await response.body?.cancel();
      throw new TooLongError(at.mostBytes);
    }
    const file = await open(path, 'a');
    try {
      let reported = done;
      at.onProgress?.({ phase: 'download', source: at.url, done, total });
      expect(retry.idleMs, 'no data');
      for await (const chunk of response.body ?? []) {
        await file.writeFile(chunk);
        done += chunk.length;
        if (done > at.mostBytes) throw new TooLongError(at.mostBytes);
        onBytes(done);
        if (done - reported >= REPORT_EVERY) {
          reported = done;
          at.onProgress?.({ phase: 'download', source: at.url, done, total });
        }
        expect(retry.idleMs, 'no data');
      }
      await file.sync();
    } finally {
      await file.close();
    }
    at.onProgress?.({ phase: 'download', source: at.url, done, total: total ?? done });
    if (total !== null && done !== total) {
      throw new DataError(`the connection ended after ${done} of ${total} bytes`);
    }
  } catch (error) {
    at.signal?.throwIfAborted();
    throw timeout.signal.aborted ? timeout.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Downloads `url` into `dir` and returns the path of the verified file.
 *
 * Resumes after a broken connection: in this run as long as each attempt downloads new bytes, and in a later run with the same
 * `dir`. An aborted download keeps its partial file. Throws DataError with the reason, or the reason of the signal.
 */
export async function download(at: Download): Promise<string> {
  const { retry = RETRY } = at;
  const path = `${at.dir}/${BODY}`;
  for (;;) {
    const before = (await readOrigin(at.dir, at.url)) === null ? 0 : ((await fileSize(path)) ?? 0);
    let bytesSeen = before;
    let responded = false;
    for (let failures = 0; ;) {
      const start = bytesSeen;
      try {
        await attempt({ mostBytes: MOST_BYTES, ...at }, retry, (bytes) => {
          responded = true;
          bytesSeen = Math.max(bytesSeen, bytes);
        });
        break;
      } catch (error) {
        at.signal?.throwIfAborted();
        if (error instanceof TooLongError) await rm(path, { force: true }); // no later run resumes it
        const failure = orStorageError(error, at.dir);
        failures = bytesSeen > start ? 1 : failures + 1;
        // No response at all: the server is unreachable, and the next source should be tried at once.
        if (
          !responded ||
          failures >= retry.attempts ||
          failure instanceof StorageError ||
          error instanceof PermanentError
        ) {
          throw failure instanceof DataError ? failure : new DataError(reasonOf(error), { cause: error });
        }
        at.onProgress?.({ phase: 'notice', message: `${at.url}: ${reasonOf(error)}; retrying` });
        await sleep(retry.retryMs * 2 ** (failures - 1), undefined, { signal: at.signal }).catch(
          () => undefined,
        );
        at.signal?.throwIfAborted();
      }
    }

    const sum = await md5Of(path, at.url, at.onProgress, at.signal);
    if (sum === at.md5) return path;
    const bytes = await fileSize(path);
    await rm(path, { force: true }); // never resume corrupt bytes
    await rm(`${at.dir}/${ORIGIN}`, { force: true });
    if (before === 0)
      throw new DataError(`wrong checksum: ${bytes} bytes with MD5 ${sum}, expected ${at.md5}`);
    // The file consists of the parts of two runs. It may have changed on the server in between.
    at.onProgress?.({ phase: 'notice', message: `${at.url}: the resumed file is corrupt; starting over` });
  }
}
