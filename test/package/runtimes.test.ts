// The packed package in Node, Bun and Deno: it computes, decodes images, and trains to the same bytes.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { plainPng } from '../png.ts';
import { bin, COMPUTES, computed, folder, npx, packaged, parsed, run, RUNTIMES } from './packaged.ts';

/** Reads an image folder, trains on points, and saves checkpoints, in a folder named after the runtime. */
const TRAINS = `
import { mkdirSync, writeFileSync } from 'node:fs';
import { fit, jsonLines, wasm } from 'cyclegrad';
import { arrays, imageFolder, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';

const dir = process.argv[2];
const png = Buffer.from('${plainPng(2, 2, 1, 2, 3).toString('base64')}', 'base64');
for (const name of ['a', 'b']) {
  mkdirSync(dir + '/images/' + name, { recursive: true });
  writeFileSync(dir + '/images/' + name + '/1.png', png);
}
const images = await imageFolder(dir + '/images', { height: 1, width: 1 });

const data = Float32Array.from({ length: 400 }, (_, i) => Math.sin(i * i));
const labels = Int32Array.from({ length: 200 }, (_, i) => (Math.hypot(data[2 * i], data[2 * i + 1]) < 0.8 ? 0 : 1));
const points = arrays({ shape: [200, 2], data }, labels);
const backend = await wasm({ threads: 2, simd: 'plain' });
const { accuracy, report } = await fit({
  model: nn.mlp([2, 16, 2]),
  backend,
  steps: 40,
  data: loader(points, { batchSize: 20 }),
  eval: { data: points, every: 20 },
  optimizer: sgd({ lr: cyclicLR({ base: 0.05, max: 0.2, stepSize: 10 }), momentum: 0.9 }),
  checkpoint: { dir: dir + '/checkpoints', every: 20 },
  listeners: [jsonLines({ path: dir + '/events.jsonl' })],
});
console.log(JSON.stringify({ accuracy, executor: report.executor, classes: images.classes, length: images.length }));
await backend.close();
`;

describe.skipIf(folder === '')(`${packaged('the packed package')}`, () => {
  beforeAll(() => {
    writeFileSync(join(folder, 'main.mjs'), COMPUTES);
    const prints =
      "import { result } from './main.mjs';\nconsole.log(JSON.stringify(result));\nprocess.exit(0);\n";
    writeFileSync(join(folder, 'computes.mjs'), prints);
    writeFileSync(join(folder, 'trains.mjs'), TRAINS);
  });

  it.each(RUNTIMES)('computes in %s', async (_, command, ...args) => {
    expect(parsed(await run(command, [...args, 'computes.mjs']))).toEqual(await computed());
  });

  it(
    'reads images, trains and saves the same checkpoints in every runtime',
    { timeout: 60_000 },
    async () => {
      const saved: Buffer[] = [];
      for (const [name, command, ...args] of RUNTIMES) {
        const dir = `trained-${name}`;
        rmSync(join(folder, dir), { recursive: true, force: true });
        const output = parsed(await run(command, [...args, 'trains.mjs', dir]));
        expect({ name, ...(output as object) }).toEqual({
          name,
          accuracy: expect.any(Number) as number,
          executor: 'team of 2 workers',
          classes: ['a', 'b'],
          length: 2,
        });
        saved.push(readFileSync(join(folder, dir, 'checkpoints/step-00000040.safetensors')));
      }
      for (const bytes of saved) expect(bytes.equals(saved[0])).toBe(true);
    },
  );

  it.each(RUNTIMES)('names the runtime in the report of doctor: %s', async (name, command, ...args) => {
    const main = 'node_modules/cyclegrad/dist/cli/main.js';
    expect(await run(command, [...args, main, 'doctor'])).toMatch(
      new RegExp(`^ *${name.toLowerCase()} +\\d`, 'm'),
    );
  });

  it('is loaded by require', async () => {
    const output = await run(process.execPath, ['-e', "console.log(typeof require('cyclegrad').wasm)"]);
    expect(output).toBe('function\n');
  });

  it('has a command that lists examples and writes one that runs', async () => {
    mkdirSync(join(folder, 'example'), { recursive: true });
    const options = { cwd: join(folder, 'example') };
    expect(await npx('cyclegrad', 'example')).toContain('explore');
    rmSync(join(folder, 'example/explore.mjs'), { force: true });
    await run(bin('cyclegrad'), ['example', 'explore'], options);
    expect(await run(process.execPath, ['explore.mjs'], options)).not.toBe('');
  });
});
