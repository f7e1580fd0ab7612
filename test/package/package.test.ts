// The package as people install it: packed, installed beside bundlers and other runtimes, without the optional packages. `.ci/run`
// prepares the folder that CYCLEGRAD_PACKAGED names; without it these tests are skipped.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { compile, f32, wasm } from 'cyclegrad';
import { beforeAll, describe, expect, it } from 'vitest';
import { chromium, ISOLATED, openPage } from '../browser/chromium.ts';
import { plainPng } from '../png.ts';

const folder = process.env['CYCLEGRAD_PACKAGED'] ?? '';
const here = folder !== '';

const run = async (command: string, ...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(command, args, { cwd: folder, env: { ...process.env, NO_COLOR: '1' } })).stdout;
/** Runs a program of an installed package. */
const npx = (name: string, ...args: readonly string[]): Promise<string> =>
  run(join(folder, 'node_modules/.bin', name), ...args);

/** Trains nothing: it computes on two threads, and asks for a GPU whose package is missing. */
const MAIN = `
import { compile, f32, gpu, tensor, wasm } from 'cyclegrad';
const backend = await wasm({ threads: 2, simd: 'plain' });
const twice = await compile(backend, { inputs: { x: f32(3) }, build: ({ x }) => ({ outputs: { y: x.mul(2).exp() } }) });
const { y } = await twice.run({ x: Float32Array.of(1, 2, 3) });
const missing = await gpu({ mode: 'cpu' }).catch((error) => error.message);
const bytes = [...new Uint8Array(y.data.buffer, y.data.byteOffset, y.data.byteLength)];
export const result = { executor: twice.report.executor, bytes, missing, method: typeof tensor([1]).relu };
`;
const PRINTS =
  "import { result } from './main.mjs';\nconsole.log(JSON.stringify(result));\nprocess.exit(0);\n";
const POSTS =
  "import { result } from './main.mjs';\nfetch('/results', { method: 'POST', body: JSON.stringify(result) });\n";
const SMALL =
  "import { grad, tensor } from 'cyclegrad';\nconst x = tensor([1, 2]);\nconsole.log(grad(x.mul(x).sum(), [x]).length);\n";
/** Decodes a PNG of one pixel. */
const IMAGE = `
import { readImage } from 'cyclegrad/datasets';
const png = Buffer.from('${plainPng(1, 1, 1, 2, 3).toString('base64')}', 'base64');
readImage(png, { height: 1, width: 1 }).then(({ data }) => console.log(data.join(' ')));
`;

/** What the program gives here, from the sources. */
const expected = await (async () => {
  const backend = await wasm({ threads: 2, simd: 'plain' });
  const twice = await compile(backend, {
    inputs: { x: f32(3) },
    build: ({ x }) => ({ outputs: { y: x.mul(2).exp() } }),
  });
  const { y } = await twice.run({ x: Float32Array.of(1, 2, 3) });
  await twice.close();
  await backend.close();
  return {
    executor: 'team of 2 workers',
    bytes: [...new Uint8Array(y.data.buffer, y.data.byteOffset, y.data.byteLength)],
    missing: 'gpu: the package gpu.js is not installed (npm install gpu.js@2.24.1)',
    method: 'function',
  };
})();
const parsed = (output: string): unknown => JSON.parse(output.trim().split('\n').at(-1) ?? '');

describe.skipIf(!here)(
  `the packed package${here ? '' : ', not here: CYCLEGRAD_PACKAGED names no folder'}`,
  () => {
    beforeAll(() => {
      const files: Readonly<Record<string, string>> = {
        'main.mjs': MAIN,
        'prints.mjs': PRINTS,
        'posts.mjs': POSTS,
        'small.mjs': SMALL,
        'image.mjs': IMAGE,
        'index.html': '<!doctype html><script type="module" src="./posts.mjs"></script>',
        'rollup.config.mjs':
          "import resolve from '@rollup/plugin-node-resolve';\n" +
          "export default { input: 'posts.mjs', output: { dir: 'out/rollup' }, plugins: [resolve({ browser: true })] };\n",
      };
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      mkdirSync(join(folder, 'out'), { recursive: true });
    });

    it.each([
      ['Node', () => run(process.execPath, 'prints.mjs')],
      ['Bun', () => npx('bun', 'prints.mjs')],
      ['Deno', () => npx('deno', 'run', '-A', '--node-modules-dir=manual', 'prints.mjs')],
    ] as const)('computes in %s', async (_, output) => {
      expect(parsed(await output())).toEqual(expected);
    });

    it('is loaded by require', async () => {
      const output = await run(process.execPath, '-e', "console.log(typeof require('cyclegrad').wasm)");
      expect(output).toBe('function\n');
    });

    it('has a command that lists examples and writes one that runs', async () => {
      expect(await npx('cyclegrad', 'example')).toContain('explore');
      await run(process.execPath, '-e', "require('fs').rmSync('explore.mjs', { force: true })");
      await npx('cyclegrad', 'example', 'explore');
      expect(await run(process.execPath, 'explore.mjs')).not.toBe('');
    });

    it('is bundled by esbuild for Node, and computes', async () => {
      await npx(
        'esbuild',
        'prints.mjs',
        '--bundle',
        '--platform=node',
        '--format=esm',
        '--outfile=out/node.mjs',
      );
      expect(parsed(await run(process.execPath, 'out/node.mjs'))).toEqual(expected);
    });

    it('decodes images, also bundled by esbuild for Node', async () => {
      expect(await run(process.execPath, 'image.mjs')).toBe('1 2 3\n');
      for (const format of ['esm', 'cjs']) {
        const file = `out/image.${format === 'esm' ? 'mjs' : 'cjs'}`;
        await npx(
          'esbuild',
          'image.mjs',
          '--bundle',
          '--platform=node',
          `--format=${format}`,
          `--outfile=${file}`,
        );
        expect(await run(process.execPath, file)).toBe('1 2 3\n');
      }
    });

    it.each([
      [
        'webpack',
        ['build', './posts.mjs', '--mode', 'production', '--output-path', join(folder, 'out/webpack')],
      ],
      ['rollup', ['-c']],
      ['vite', ['build', '--outDir', 'out/vite']],
    ] as const)('is bundled by %s', { timeout: 120_000 }, async (name, args) => {
      await expect(npx(name, ...args)).resolves.toBeTypeOf('string');
    });

    it('loads less than 60 kB, compressed, for tensors and gradients', async () => {
      await npx(
        'esbuild',
        'small.mjs',
        '--bundle',
        '--minify',
        '--splitting',
        '--format=esm',
        '--outdir=out/small',
        '--metafile=out/meta.json',
      );
      const { outputs } = JSON.parse(readFileSync(join(folder, 'out/meta.json'), 'utf8')) as {
        readonly outputs: Readonly<
          Record<string, { readonly imports: readonly { readonly kind: string; readonly path: string }[] }>
        >;
      };
      const loaded = new Set<string>();
      const load = (path: string): void => {
        if (loaded.has(path)) return;
        loaded.add(path);
        for (const { kind, path: imported } of outputs[path].imports)
          if (kind === 'import-statement') load(imported);
      };
      load('out/small/small.js');
      const bytes = [...loaded].reduce(
        (sum, path) => sum + gzipSync(readFileSync(join(folder, path))).length,
        0,
      );
      expect(bytes).toBeLessThan(60_000);
      writeFileSync(join(folder, 'out/small/package.json'), '{ "type": "module" }');
      expect(await run(process.execPath, 'out/small/small.js')).toBe('1\n');
    });

    it.skipIf(chromium === undefined)(
      'computes in a page with a strict content security policy',
      { timeout: 120_000 },
      async () => {
        const args = ['--bundle', '--splitting', '--format=esm', '--outdir=out/page', '--entry-names=page'];
        await npx('esbuild', 'posts.mjs', ...args);
        const page = dirname(join(folder, 'out/page/page.js'));
        const policy = (workers: string) => ({
          ...ISOLATED,
          'Content-Security-Policy': `default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src ${workers}`,
        });
        const missing = expect.stringContaining('gpu.js') as string;
        expect(await openPage(page, policy('blob:'))).toEqual({ ...expected, missing });
        expect(await openPage(page, policy("'none'"))).toEqual({ ...expected, executor: 'caller', missing });
      },
    );
  },
);
