/** Which requests the server of the page answers. It is on the loopback interface, but web pages of other sites can send requests there. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** The parts of a request that decide. */
export interface RequestHead {
  readonly method?: string | undefined;
  /** Path and query. */
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Why a request is refused. */
export interface Refusal {
  readonly status: 403 | 405 | 415;
  readonly message: string;
}

/** Names of this machine. A site whose name resolves to 127.0.0.1 (DNS rebinding) has another one. Ports differ with SSH forwarding. */
const LOCAL = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/;

const METHODS = ['GET', 'HEAD', 'POST'];

/**
 * Why a request is refused, or null. It must have a method that the page uses, name this machine as its host, come from the page itself
 * or from the address bar, and have the token as the first part of its path. A POST, which can change the run, must name its origin and
 * contain JSON.
 */
export function refusalOf({ method = '', url = '', headers }: RequestHead, token: string): Refusal | null {
  const refuse = (message: string): Refusal => ({ status: 403, message });
  if (!METHODS.includes(method)) return { status: 405, message: `${method} is not allowed` };
  const { host, origin } = headers;
  if (typeof host !== 'string' || !LOCAL.test(host)) {
    return refuse('the host must be 127.0.0.1 or localhost');
  }
  if (origin !== undefined && origin !== `http://${host}`)
    return refuse('the request is from another origin');
  const site = headers['sec-fetch-site'];
  const isNavigation = method === 'GET' && headers['sec-fetch-mode'] === 'navigate';
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !isNavigation) {
    return refuse('the request is from another site');
  }
  if (!sameText(url.split('/')[1] ?? '', token)) {
    return refuse('the token in the address is missing or wrong: open the address that the command printed');
  }
  if (method !== 'POST') return null;
  if (origin === undefined) return refuse('the request has no origin');
  if (headers['content-type'] !== 'application/json')
    return { status: 415, message: 'the body must be JSON' };
  return null;
}

/** Compares in a time that does not depend on where the texts differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Headers of every answer: the page loads nothing from elsewhere, runs only its own files, and is in no frame, cache or referrer. */
export const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cache-Control': 'no-store',
};
