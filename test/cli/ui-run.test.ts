/** A page of a live run: what it gets, and what its calls do. */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { expect, test } from 'vitest';
import {
  checkpointPath,
  fit,
  latestCheckpoint,
  reference,
  report,
  type StartEvent,
  type TrainOptions,
} from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { livePage } from 'cyclegrad/ui';
import { Folders } from '../../cli/ui/folders.ts';
import { History } from '../../cli/ui/history.ts';
import type { Message, PageEvent } from '../../cli/ui/protocol.ts';
import { run, SMALL, tempDir, testHost } from './fixture.ts';

const points = synthetic({ kind: 'blobs', n: 24, classes: 3, seed: 1 });
const options: TrainOptions = {
  model: nn.mlp([2, 8, 3]),
  backend: reference(),
  optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  data: loader(points, { batchSize: 8 }),
  eval: { data: points, every: 10 },
  steps: 20,
};

const start: StartEvent = {
  type: 'start',
  step: 0,
  steps: 20,
  stepsPerEpoch: 3,
  batchSize: 8,
  seed: 0,
  report: { backend: 'reference', executor: 'ndarray', threads: 1, fallback: null, bytes: 0 } as never,
};

/** The messages of a page, as they arrive. */
async function listen(url: string): Promise<{ readonly messages: Message[]; readonly ended: Promise<void> }> {
  const messages: Message[] = [];
  const response = await fetch(new URL('stream', url));
  const read = async (): Promise<void> => {
    let text = '';
    for await (const chunk of response.body!) {
      text += new TextDecoder().decode(chunk);
      const blocks = text.split('\n\n');
      text = blocks.pop()!;
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data) messages.push(JSON.parse(data) as Message);
      }
    }
  };
  return { messages, ended: read() };
}

const eventsIn = (messages: readonly Message[]): readonly PageEvent[] =>
  messages.flatMap((message) => (message.type === 'live' || message.type === 'events' ? message.events : []));

async function call(url: string, name: string, args: object = {}): Promise<Response> {
  const headers = { origin: new URL(url).origin, 'content-type': 'application/json' };
  return fetch(new URL(`call/${name}`, url), { method: 'POST', headers, body: JSON.stringify(args) });
}

test('a page gets all events, also those before it connected, and changes no bytes', async () => {
  const page = await livePage({ title: 'blobs' });
  const first = await listen(page.url);
  const result = await fit(page.watch(options));
  const late = await listen(page.url);
  await expect.poll(() => eventsIn(late.messages).at(-1)?.type).toBe('end');
  await page.close();
  await Promise.all([first.ended, late.ended]);
  expect(first.messages[0]).toEqual({
    type: 'hello',
    title: 'blobs',
    calls: ['stop', 'pause', 'schedule', 'scale', 'range', 'profile'],
  });
  expect(first.messages.at(-1)).toEqual({ type: 'bye' });
  expect(eventsIn(first.messages)).toEqual(eventsIn(late.messages));
  const types = eventsIn(late.messages).map(({ type }) => type);
  expect(types.filter((type) => type === 'step')).toHaveLength(20);
  expect(types.filter((type) => type !== 'step')).toEqual(['start', 'eval', 'eval', 'eval', 'end']);
  const plain = await fit(options);
  expect(result.state).toEqual(plain.state);
});

test('a long run has about a thousand records, which are means', () => {
  const history = new History();
  history.take({ ...start, steps: 2500 });
  for (let step = 0; step < 2500; step++) {
    history.take({ type: 'step', step, steps: 2500, hyper: { lr: step }, loss: step, metrics: {}, ms: 1 });
    if (step === 3) history.take({ type: 'checkpoint', step: 4, path: 'a' });
  }
  const records = history.events.filter((event) => event.type === 'step');
  expect(records.length).toBe(834);
  expect(records.reduce((sum, { over = 1 }) => sum + over, 0)).toBe(2499); // the last one waits for the end
  expect(records.slice(0, 3)).toMatchObject([
    { step: 2, over: 3, loss: 1, hyper: { lr: 2 } },
    { step: 3, over: 1, loss: 3, hyper: { lr: 3 } },
    { step: 5, over: 2, loss: 4.5, hyper: { lr: 5 } },
  ]);
});

test('its calls save, pause and stop the run, which resumes to the same bytes', async () => {
  const dir = await tempDir();
  const page = await livePage();
  let paused = 0;
  const checkpoint = { dir, every: 100, resume: true };
  const running = fit(
    page.watch({
      ...options,
      checkpoint,
      callbacks: [
        async (event, { step }) => {
          if (event.type !== 'step' || step !== 5) return;
          await call(page.url, 'pause', { paused: true });
          setTimeout(() => void act(), 20);
        },
      ],
      listeners: [
        (event) => {
          if (event.type === 'step') paused = event.step + 1;
        },
      ],
    }),
  );
  const saved: unknown[] = [];
  let status: unknown;
  const act = async (): Promise<void> => {
    const { messages } = await listen(page.url);
    saved.push(await (await call(page.url, 'save')).json());
    await expect.poll(() => messages.some((message) => message.type === 'status')).toBe(true);
    status = messages.find((message) => message.type === 'status')?.status;
    saved.push(paused);
    await call(page.url, 'stop');
  };
  const { reason, step } = await running;
  expect([reason, step]).toEqual(['abort', 5]);
  expect(status).toMatchObject({ step: 4, steps: 20, paused: true, ended: false });
  expect(saved).toEqual([{ path: await latestCheckpoint(dir) }, 4]);
  expect((await call(page.url, 'stop')).status).toBe(409);
  await page.close();
  const resumed = await fit({ ...options, checkpoint });
  expect(resumed.state).toEqual((await fit(options)).state);
});

test('its calls change the rate, and a resumed run follows the change to the same bytes', async () => {
  const dir = await tempDir();
  const checkpoint = { dir, every: 100, resume: true };
  const page = await livePage();
  const statuses: number[] = [];
  const config = { kind: 'linear', from: 0.2, to: 0, steps: 20 };
  const rates: number[] = [];
  /** The run waits until it is continued. */
  const act = async (): Promise<void> => {
    const calls: readonly [string, object][] = [
      ['schedule', { config }],
      ['scale', { factor: 0.5 }],
      ['schedule', { config: { kind: 'nothing' } }],
      ['scale', { factor: -1 }],
      ['pause', { paused: false }],
    ];
    for (const [name, args] of calls) statuses.push((await call(page.url, name, args)).status);
  };
  const whole = await fit(
    page.watch({
      ...options,
      checkpoint,
      callbacks: [
        async (event) => {
          if (event.type !== 'step' || event.step !== 4) return;
          await call(page.url, 'pause', { paused: true });
          void act();
        },
      ],
      listeners: [(event) => void (event.type === 'step' && rates.push(event.hyper['lr']))],
    }),
  );
  expect(statuses).toEqual([200, 200, 409, 409, 200]);
  expect(rates.slice(3, 8)).toEqual([0.1, 0.1, 0.075, 0.07, 0.065].map((rate) => expect.closeTo(rate, 6)));
  await page.close();
  // Each change saved a checkpoint. The run resumes from the one after the last change.
  await rm(checkpointPath(dir, 20));
  const resumed = await fit({ ...options, checkpoint });
  expect(resumed.state).toEqual(whole.state);
});

test('cyclegrad ui shows runs from their folders', async () => {
  const dir = await tempDir();
  await fit({ ...options, listeners: [report(`${dir}/a`)] });
  await fit({ ...options, seed: 2, listeners: [report(`${dir}/b`)] });
  const source = await Folders.open([`${dir}/a`, `${dir}/b`]);
  const messages: Message[] = [];
  const disconnect = source.connect((message) => messages.push(message));
  expect(messages[0]).toEqual({ type: 'hello', title: '2 runs', calls: [] });
  expect(messages[1]).toMatchObject({
    runs: [
      { id: '0', name: 'a' },
      { id: '1', name: 'b' },
    ],
  });
  expect((await source.read('1'))?.[0]).toMatchObject({ type: 'start', seed: 2 });
  expect(await source.read('../a')).toBeNull();
  disconnect();
  source.close();
  const host = await testHost();
  expect(await run(host, 'ui nowhere')).toBe(2);
  expect(host.err()).toContain('nowhere: it is not the folder of a run, because it has no events.jsonl');
});

test('a signal ends a run that is paused', async () => {
  const page = await livePage();
  const control = new AbortController();
  const running = fit(
    page.watch({
      ...options,
      signal: control.signal,
      callbacks: [
        async ({ type }) => {
          if (type !== 'eval') return;
          await call(page.url, 'pause', { paused: true });
          setTimeout(() => control.abort(), 20);
        },
      ],
    }),
  );
  expect((await running).reason).toBe('abort');
  await page.close();
});

test('it measures a step and sweeps the rate of a copy, and the run ends with the same bytes', async () => {
  const dir = await tempDir();
  const page = await livePage();
  const answers: [number, string][] = [];
  const act = async (): Promise<void> => {
    for (const [name, args] of [
      ['profile', {}],
      ['range', { from: 0.001, to: 1, steps: 12 }],
      ['range', { from: 1, to: 0.1, steps: 12 }],
      ['range', { from: 0.001, to: 1, steps: 2.5 }],
      ['pause', { paused: false }],
    ] as const) {
      const answer = await call(page.url, name, args);
      answers.push([answer.status, await answer.text()]);
    }
  };
  const seen = await listen(page.url);
  const result = await fit(
    page.watch({
      ...options,
      checkpoint: { dir, every: 100 },
      callbacks: [
        async (event) => {
          if (event.type !== 'step' || event.step !== 4) return;
          await call(page.url, 'pause', { paused: true });
          void act();
        },
      ],
    }),
  );
  expect(answers).toEqual([
    [200, 'null'],
    [200, 'null'],
    [409, 'the rates must be above 0, and the last above the first, got 1 and 0.1\n'],
    [409, 'the steps must be a whole number from 10 to 10000, got 2.5\n'],
    [200, 'null'],
  ]);
  expect(result.state).toEqual((await fit(options)).state);
  const view = async (name: string): Promise<unknown> =>
    (await fetch(new URL(`view?id=live&name=${name}`, page.url))).json();
  const range = (await view('range')) as { readonly step: number; readonly rates: readonly number[] };
  expect(range.step).toBe(5);
  expect(range.rates[0]).toBeCloseTo(0.001, 6);
  const profile = (await view('profile')) as { readonly rows: readonly { readonly op: string }[] };
  expect(profile.rows.map(({ op }) => op)).toContain('matmul');
  expect(await view('predictions')).toMatchObject({ step: 20, examples: 24, of: 24 });
  expect(await view('filters')).toBeNull();
  const report = await (await fetch(new URL('report.html?id=live&title=blobs', page.url))).text();
  expect(report).toContain('<h1>blobs</h1>');
  expect((await fetch(new URL('report.html?id=other', page.url))).status).toBe(404);
  expect((await fetch(new URL('view?id=live&name=other', page.url))).status).toBe(404);
  await page.close();
  await seen.ended;
  expect(seen.messages.filter(({ type }) => type === 'runs').at(-1)).toMatchObject({
    runs: [{ id: 'live', views: { range: 1, profile: 1 } }],
  });
});

test('wrong use', async () => {
  await expect(livePage({ runs: ['nowhere'] })).rejects.toThrow(
    'livePage: runs: nowhere is not the folder of a run, because it has no events.jsonl (report writes it)',
  );
  const page = await livePage();
  expect(() => page.watch(options, { names: [1] as never })).toThrow(
    'livePage: watch: names must be an array of texts',
  );
  const watched = page.watch(options);
  expect(() => page.watch(options)).toThrow('livePage: the page has a run already');
  await fit({ ...watched, steps: 1 });
  expect((await call(page.url, 'save')).status).toBe(409);
  expect(await (await call(page.url, 'fly')).text()).toBe("there is no call 'fly'\n");
  await page.close();
});

test('cyclegrad train --ui prints the address, and ends with the run', async () => {
  const host = await testHost();
  const seen: string[] = [];
  const write = host.stderr.write.bind(host.stderr);
  const found = new Promise<Response>((resolve) => {
    host.stderr.write = ((text: string, ...rest: []) => {
      const url = /live page: (\S+)/.exec(text)?.[1];
      if (url !== undefined) {
        seen.push(url);
        resolve(fetch(url));
      }
      return write(text, ...rest);
    }) as typeof host.stderr.write;
  });
  expect(await run(host, `train ${SMALL} --steps 2 --eval-every 2 --ui`)).toBe(0);
  expect((await found).status).toBe(200);
  expect(existsSync(`${host.cwd}/runs`)).toBe(true);
  await expect(fetch(seen[0])).rejects.toThrow('fetch failed');
  const other = await testHost();
  expect(await run(other, `train ${SMALL} --steps 2 --ui 99999`)).toBe(2);
  expect(other.err()).toContain("argument '99999' is invalid. It must be a whole number from 0 to 65535.");
});
