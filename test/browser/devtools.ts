/** Drives a headless Chromium by the DevTools protocol, over a pipe: clicks, keys, screenshots. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from './chromium.ts';

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--no-first-run',
  '--disable-gpu',
  '--hide-scrollbars',
  '--remote-debugging-pipe',
];

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export interface View {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
}

/** An open page. */
export interface DrivenPage {
  /** What the page logged as errors, and its violations of the content policy. */
  readonly problems: string[];
  /** The value of an expression, as JSON. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(expression: string, seconds?: number): Promise<void>;
  press(key: string): Promise<void>;
  show(view: View): Promise<void>;
  /** A PNG of the window, or of the whole page. */
  screenshot(whole?: boolean): Promise<Buffer>;
  navigate(url: string): Promise<void>;
  /** The CPU time of each task of the page's main thread while a function runs, in milliseconds. */
  tasks(act: () => Promise<unknown>): Promise<readonly number[]>;
  /** Sends a command of the protocol. */
  send(method: string, params?: object): Promise<unknown>;
  close(): Promise<void>;
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** CPU time in microseconds. */
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

/** The CPU time of the tasks of pages, in milliseconds. Throws Error for a trace without them. */
function mainThreadTasks(events: readonly TraceEvent[]): readonly number[] {
  const threads = new Set(
    events
      .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid}.${tid}`),
  );
  const tasks = events.flatMap(({ name, pid, tid, tdur }) =>
    name === 'ThreadControllerImpl::RunTask' && tdur !== undefined && threads.has(`${pid}.${tid}`)
      ? [tdur / 1000]
      : [],
  );
  if (tasks.length === 0) throw new Error('the trace has no tasks of the main thread');
  return tasks;
}

/** Opens a page in a new browser. */
export async function drive(url: string, view: View = { width: 1280, height: 900 }): Promise<DrivenPage> {
  const profile = await mkdtemp(join(tmpdir(), 'cyclegrad-devtools-'));
  const browser = spawn(chromium!, [...FLAGS, `--user-data-dir=${profile}`], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
  });
  const closed = once(browser, 'close');
  const [to, from] = [browser.stdio[3] as Writable, browser.stdio[4] as Readable];
  const waiting = new Map<number, (reply: Reply) => void>();
  const problems: string[] = [];
  const traced: TraceEvent[] = [];
  let onTraced: () => void = () => undefined;
  let rest = '';
  from.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\0');
    rest = parts.pop()!;
    for (const part of parts) {
      const reply = JSON.parse(part) as Reply;
      if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
      else note(reply);
    }
  });
  const note = ({ method, params }: Reply): void => {
    if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded')
      problems.push(JSON.stringify(params));
    if (method === 'Tracing.dataCollected')
      traced.push(...(params as { readonly value: TraceEvent[] }).value);
    if (method === 'Tracing.tracingComplete') onTraced();
  };
  let last = 0;
  const command = async (method: string, params: object = {}, sessionId?: string): Promise<unknown> => {
    const id = ++last;
    const replied = new Promise<Reply>((resolve) => waiting.set(id, resolve));
    to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const gone = closed.then((): Reply => ({ error: { message: 'the browser ended' } }));
    const { result, error } = await Promise.race([replied, gone]);
    waiting.delete(id);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  };
  const { targetId } = (await command('Target.createTarget', { url: 'about:blank' })) as { targetId: string };
  const attached = await command('Target.attachToTarget', { targetId, flatten: true });
  const { sessionId } = attached as { sessionId: string };
  const send = (method: string, params: object = {}): Promise<unknown> => command(method, params, sessionId);
  await send('Runtime.enable');
  await send('Log.enable');
  await send('Page.enable');

  const page: DrivenPage = {
    problems,
    send,
    async evaluate<T>(expression: string) {
      const options = { expression, returnByValue: true, awaitPromise: true };
      const { result, exceptionDetails } = (await send('Runtime.evaluate', options)) as {
        readonly result: { readonly value: T };
        readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
      };
      if (exceptionDetails !== undefined)
        throw new Error(exceptionDetails.exception?.description ?? expression);
      return result.value;
    },
    async until(expression, seconds = 60) {
      for (const end = performance.now() + seconds * 1000; performance.now() < end; await sleep(50)) {
        if (await page.evaluate<boolean>(`Boolean(${expression})`)) return;
      }
      const text = await page.evaluate<string>('document.body.innerText');
      throw new Error(`not within ${seconds} s: ${expression}\n${text}\n${problems.join('\n')}`);
    },
    async press(key) {
      const text = key.length === 1 ? { text: key } : {};
      await send('Input.dispatchKeyEvent', { type: 'keyDown', key, code: key, ...text });
      await send('Input.dispatchKeyEvent', { type: 'keyUp', key, code: key });
    },
    async show({ width, height, dark = false }) {
      await send('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: width < 600,
      });
      const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
      await send('Emulation.setEmulatedMedia', { features });
      await sleep(150);
    },
    async screenshot(whole = false) {
      const options = { format: 'png', captureBeyondViewport: whole };
      const { data } = (await send('Page.captureScreenshot', options)) as { readonly data: string };
      return Buffer.from(data, 'base64');
    },
    async navigate(to) {
      await send('Page.navigate', { url: to });
      await page.until('document.readyState === "complete"');
    },
    async tasks(act) {
      traced.length = 0;
      await send('Tracing.start', { traceConfig: { includedCategories: ['toplevel'] } });
      await act();
      const complete = new Promise<void>((resolve) => (onTraced = resolve));
      await send('Tracing.end');
      await complete;
      return mainThreadTasks(traced);
    },
    async close() {
      await command('Browser.close').catch(() => browser.kill());
      await closed;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  await page.show(view);
  await page.navigate(url);
  return page;
}
