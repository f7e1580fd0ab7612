// Training in a worker, from the packed package, as each bundler builds it: in Chromium, under a policy without 'unsafe-eval'.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { chromium, ISOLATED } from '../browser/chromium.ts';
import { drive } from '../browser/devtools.ts';
import { serveFolder } from '../browser/site.ts';
import { bin, folder, packaged, parsed, run } from './packaged.ts';

const STEPS = 80;
const POLICY =
  "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; img-src data:";

/** The longest task of the page's main thread, in milliseconds of CPU time. */
const LONGEST = 50;

/** A convolutional network on generated pictures. */
const TASK = `
import { wasm } from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { scheduleFromJSON } from 'cyclegrad/schedulers';
const pixels = Float32Array.from({ length: 64 * 3072 }, (_, i) => ((i * 37) % 101) / 50 - 1);
const labels = Array.from({ length: 64 }, (_, i) => i % 4);
const backend = wasm({ threads: 2, simd: 'plain' });
export const training = async ({ lr, steps }) => ({
  model: nn.sequential({
    conv: nn.conv2d(3, 32, 3, { padding: 'same' }),
    relu: nn.relu(),
    pool: nn.maxPool2d(2),
    flat: nn.flatten(),
    head: nn.dense(8192, 4),
  }),
  backend: await backend,
  data: loader(arrays({ shape: [64, 32, 32, 3], data: pixels }, labels), { batchSize: 32 }),
  steps,
  optimizer: sgd({ lr: scheduleFromJSON(lr), momentum: 0.9 }),
});
`;
const INPUT = `{ lr: cyclicLR({ base: 0.001, max: 0.01, stepSize: 20 }).config, steps: ${STEPS} }`;
/** The page trains when the test calls \`begin\`, because the test measures from then on. */
const PAGE = `
import { cyclicLR } from 'cyclegrad/schedulers';
import { trainInWorker } from 'cyclegrad/worker';
globalThis.begin = async () => {
  const worker = new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' });
  const run = trainInWorker(worker, { input: ${INPUT} });
  const losses = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const { report } = await run.result;
  return { losses, executor: report.executor };
};
`;
/** The same training in Node. */
const NODE = `
import { fit } from 'cyclegrad';
import { cyclicLR } from 'cyclegrad/schedulers';
import { training } from './task.mjs';
const losses = [];
const listener = (event) => void (event.type === 'step' && losses.push(event.loss));
const { report } = await fit({ ...(await training(${INPUT})), listeners: [listener] });
console.log(JSON.stringify({ losses, executor: report.executor }));
process.exit(0);
`;
const HTML =
  '<!doctype html><title>Page</title><link rel="icon" href="data:," /><script type="module" src="./page.mjs"></script>\n';
const FILES: Readonly<Record<string, string>> = {
  'package.json': '{ "type": "module" }',
  'task.mjs': TASK,
  'worker.mjs':
    "import { serveTraining } from 'cyclegrad/worker';\nimport { training } from './task.mjs';\nserveTraining(training);\n",
  'page.mjs': PAGE,
  'node.mjs': NODE,
  'index.html': HTML,
  'esbuild/index.html': HTML,
  'rollup/index.html': HTML,
  'webpack/index.html': HTML,
  'webpack.config.mjs':
    "export default { mode: 'production', entry: './page.mjs', output: { path: import.meta.dirname + '/webpack', filename: 'page.mjs' } };\n",
  'rollup.config.mjs':
    "import resolve from '@rollup/plugin-node-resolve';\n" +
    "const output = { dir: 'rollup', entryFileNames: '[name].mjs' };\n" +
    "export default { input: ['page.mjs', 'worker.mjs'], output, plugins: [resolve({ browser: true })] };\n",
  'vite.config.mjs':
    "export default { base: './', worker: { format: 'es' }, build: { outDir: 'vite', target: 'es2022' } };\n",
};
const cwd = join(folder, 'with-worker');

const skipped = packaged('training in a worker, in a page of the packed package');
describe.skipIf(folder === '' || chromium === undefined)(
  `${skipped}${chromium === undefined ? ', not here: there is no Chromium' : ''}`,
  () => {
    beforeAll(() => {
      rmSync(cwd, { recursive: true, force: true });
      for (const name of ['esbuild', 'rollup', 'webpack']) mkdirSync(join(cwd, name), { recursive: true });
      for (const [name, text] of Object.entries(FILES)) writeFileSync(join(cwd, name), text);
    });

    it.each([
      ['webpack', ['build']],
      [
        'esbuild',
        [
          'page.mjs',
          'worker.mjs',
          '--bundle',
          '--splitting',
          '--format=esm',
          '--outdir=esbuild',
          '--out-extension:.js=.mjs',
        ],
      ],
      ['rollup', ['-c']],
      ['vite', ['build']],
    ] as const)('bundled by %s', { timeout: 240_000 }, async (name, args) => {
      await run(bin(name), args, { cwd });
      const site = await serveFolder(join(cwd, name), {
        headers: { ...ISOLATED, 'Content-Security-Policy': POLICY },
      });
      onTestFinished(() => site.close());
      const page = await drive(site.url);
      onTestFinished(() => page.close());
      await page.until("typeof globalThis.begin === 'function'");
      let there: unknown;
      const tasks = await page.tasks(async () => {
        there = await page.evaluate('globalThis.begin()');
      });
      expect(there).toEqual(parsed(await run(process.execPath, ['node.mjs'], { cwd })));
      expect(there).toMatchObject({ executor: 'team of 2 workers', losses: { length: STEPS } });
      expect(Math.max(...tasks)).toBeLessThan(LONGEST);
      expect(page.problems).toEqual([]);
    });
  },
);
