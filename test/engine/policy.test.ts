/** Environments that forbid code from text: browser extensions, pages with a content security policy. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder = '';

beforeAll(async () => {
  // Inside the checkout, so that Node finds its packages.
  folder = await mkdtemp(join(root, 'node_modules/.policy-'));
  const bundle = await rolldown({
    input: join(root, 'engine/index.ts'),
    platform: 'node',
    external: (id) => !/^([./\\]|[A-Za-z]:)/.test(id),
    logLevel: 'silent',
  });
  await bundle.write({ dir: folder, format: 'esm', entryFileNames: 'engine.mjs' });
  await bundle.close();
});
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));

it('wasm computes without eval, and the reference backend names what forbids it', async () => {
  const program = `
    const { compile, f32, reference, wasm } = await import('${pathToFileURL(join(folder, 'engine.mjs')).href}');
    const spec = { inputs: { x: f32(2) }, build: ({ x }) => ({ outputs: { y: x.mul(2) } }) };
    const twice = await compile(await wasm(), spec);
    console.log((await twice.run({ x: Float32Array.of(1, 2) })).y.data.join());
    await compile(reference(), spec).catch((error) => console.log(error.name, error.message));
    process.exit(0);`;
  const flags = ['--disallow-code-generation-from-strings', '--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: tmpdir() });
  expect(stdout.split('\n')).toEqual([
    '2,4',
    'BackendError reference: ndarray-ops compiles loops from text, and this environment forbids it ' +
      "(allow 'unsafe-eval', or use the wasm backend)",
    '',
  ]);
});
