// What `cyclegrad export` writes, in the programs that it is for: PyTorch, ONNX Runtime and Chromium.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { forward, loadTensors, wasm } from 'cyclegrad';
import { readImage } from 'cyclegrad/datasets';
import { classifier } from 'cyclegrad/zoo';
import { withoutNode } from '../../bundle.js';
import { chromium } from '../browser/chromium.ts';
import { drive } from '../browser/devtools.ts';
import { python } from '../interop/python.ts';
import { run, testHost, type TestHost } from './fixture.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SIZE = 16;
const COUNT = 6;

/** Pictures with bright stripes, vertical or horizontal. */
const picture = (isVertical: boolean, seed: number): Promise<Buffer> =>
  sharp(
    Uint8Array.from({ length: 24 * 20 * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % 24, Math.floor(i / 72)];
      return ((isVertical ? x : y) + seed) % 6 < 3 ? 180 + ((seed * 7 + i) % 70) : (seed * 11 + i) % 80;
    }),
    { raw: { width: 24, height: 20, channels: 3 } },
  )
    .png()
    .toBuffer();

let host: TestHost;
/** The bytes of some pictures as the network gets them, and its logits. */
let pixels: Uint8Array;
let logits: number[];

beforeAll(async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'cyclegrad-exports-'));
  host = await testHost({ cwd, browserBuild: join(cwd, 'build') });
  for (const [name, isVertical] of [
    ['columns', true],
    ['rows', false],
  ] as const) {
    mkdirSync(join(cwd, 'stripes', name), { recursive: true });
    for (let i = 0; i < 12; i++)
      writeFileSync(join(cwd, 'stripes', name, `${i}.png`), await picture(isVertical, i));
  }
  const line = `train stripes --size ${SIZE} --epochs 12 --max 0.1 --no-flip --augment light --threads 1 --seed 3`;
  if ((await run(host, line)) !== 0) throw new Error(host.err());
  const model = classifier('convnet', { classes: 2, size: SIZE, mean: [0, 0, 0], std: [1, 1, 1] });
  const state = await loadTensors(join(cwd, 'runs', 'stripes', 'model.safetensors'));
  const images = await Promise.all(
    Array.from({ length: COUNT }, (_, i) =>
      readImage(join(cwd, 'stripes', i % 2 === 0 ? 'columns' : 'rows', `${i}.png`), {
        height: SIZE,
        width: SIZE,
      }),
    ),
  );
  pixels = Uint8Array.from(images.flatMap(({ data }) => Array.from(data)));
  const backend = await wasm({ threads: 1 });
  const data = { shape: [COUNT, SIZE, SIZE, 3], dtype: 'u8', data: pixels } as const;
  logits = Array.from((await forward({ model, state, data, backend })).data as Float32Array);
  await backend.close();
  return () => rmSync(cwd, { recursive: true, force: true });
});

/** The largest distance of logits from ours. */
const distance = (theirs: readonly number[]): number => {
  expect(theirs).toHaveLength(logits.length);
  return Math.max(...theirs.map((value, i) => Math.abs(value - logits[i])));
};

describe.skipIf(python === undefined)(
  `export --to torch${python === undefined ? ', not here: there is no PyTorch' : ''}`,
  () => {
    it('is a state_dict of the same network in PyTorch, with the same outputs', async () => {
      expect(await run(host, 'export runs/stripes --to torch --out torch')).toBe(0);
      writeFileSync(join(host.cwd, 'pixels.bin'), pixels);
      const script = join(ROOT, 'test', 'cli', 'exported.py');
      const args = [script, join(host.cwd, 'torch'), join(host.cwd, 'pixels.bin')];
      const found = JSON.parse(execFileSync(python!, args, { encoding: 'utf8' })) as { logits: number[][] };
      expect(distance(found.logits.flat())).toBeLessThan(1e-4);
    });
  },
);

interface Session {
  run(feeds: object): Promise<Readonly<Record<string, { readonly data: Float32Array }>>>;
}
interface Runtime {
  readonly Tensor: new (type: string, data: Uint8Array, dims: readonly number[]) => unknown;
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> };
}
/** The folder in which onnxruntime-node is installed. */
const onnx = process.env['CYCLEGRAD_ONNX'];

describe.skipIf(onnx === undefined)(
  `export --to onnx${onnx === undefined ? ', not here: CYCLEGRAD_ONNX names no folder with onnxruntime-node' : ''}`,
  () => {
    it('takes the bytes of images in ONNX Runtime, and has the same outputs', async () => {
      expect(await run(host, 'export runs/stripes --to onnx --out onnx')).toBe(0);
      const runtime = createRequire(join(onnx!, 'package.json'))('onnxruntime-node') as Runtime;
      const path = join(host.cwd, 'onnx', 'model.onnx');
      const session = await runtime.InferenceSession.create(path, { logSeverityLevel: 3 });
      const x = new runtime.Tensor('uint8', pixels, [COUNT, SIZE, SIZE, 3]);
      const { y } = await session.run({ x });
      expect(distance(Array.from(y.data))).toBeLessThan(1e-4);
    });
  },
);

/** The files of the engine for browsers, as the build names them. */
async function buildEngine(dir: string): Promise<void> {
  const bundle = await rolldown({
    input: {
      engine: join(ROOT, 'engine/index.ts'),
      datasets: join(ROOT, 'datasets/index.ts'),
      zoo: join(ROOT, 'engine/zoo/index.ts'),
    },
    platform: 'browser',
    plugins: [withoutNode()],
    logLevel: 'silent',
  });
  await bundle.write({ dir, format: 'esm', chunkFileNames: 'shared-[hash].js' });
  await bundle.close();
}

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' };

describe.skipIf(chromium === undefined)(
  `export --to browser${chromium === undefined ? ', not here: there is no Chromium' : ''}`,
  () => {
    it('classifies a dropped file, and says what is wrong with one that is no image', async () => {
      await buildEngine(host.browserBuild);
      expect(await run(host, 'export runs/stripes --to browser --out page')).toBe(0);
      const server = createServer((request, response) => {
        const name = (request.url ?? '/').replace(/\/$/, '/index.html');
        try {
          const bytes = readFileSync(join(host.cwd, 'page', name));
          response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' });
          response.end(bytes);
        } catch {
          response.writeHead(404).end();
        }
      });
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
      onTestFinished(() => void server.close());
      const page = await drive(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      onTestFinished(() => page.close());
      const status = "document.getElementById('status').textContent";
      await page.until(`${status}.includes('drop one here')`);
      const drop = (bytes: Uint8Array, name: string): Promise<unknown> =>
        page.evaluate(`(() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(${JSON.stringify([...bytes])})], '${name}'));
          document.body.dispatchEvent(
            new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }),
          );
        })()`);
      for (const [folder, i] of [
        ['columns', 2],
        ['rows', 3],
      ] as const) {
        const path = join('stripes', folder, `${i}.png`);
        const before = host.out().length;
        expect(await run(host, `predict runs/stripes ${path} --json --threads 1`)).toBe(0);
        const [own] = JSON.parse(host.out().slice(before)) as {
          class: string;
          probabilities: Record<string, number>;
        }[];
        await drop(readFileSync(join(host.cwd, path)), `${i}.png`);
        await page.until(`${status} === '${own.class}'`);
        const shown = await page.evaluate<[string, number][]>(
          "Array.from(document.querySelectorAll('li'), (li) => [li.firstChild.textContent, li.querySelector('meter').value])",
        );
        expect(Object.keys(own.probabilities)).toHaveLength(shown.length);
        for (const [label, value] of shown) expect(value).toBeCloseTo(own.probabilities[label], 4);
      }
      await drop(new TextEncoder().encode('hello'), 'note.txt');
      await page.until(`${status}.includes('note.txt')`);
      expect(page.problems.filter((problem) => !problem.includes('favicon'))).toEqual([]);
    });
  },
);
