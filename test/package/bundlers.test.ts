// The packed package beside bundlers, without the optional packages.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { chromium, ISOLATED, openPage } from '../browser/chromium.ts';
import { plainPng } from '../png.ts';
import { COMPUTES, computed, folder, npx, packaged, parsed, run } from './packaged.ts';

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

describe.skipIf(folder === '')(`${packaged('the packed package')}`, () => {
  beforeAll(() => {
    const files: Readonly<Record<string, string>> = {
      'main.mjs': COMPUTES,
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

  it('is bundled by esbuild for Node, and computes', async () => {
    await npx(
      'esbuild',
      'prints.mjs',
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--outfile=out/node.mjs',
    );
    expect(parsed(await run(process.execPath, ['out/node.mjs']))).toEqual(await computed());
  });

  it('decodes images, also bundled by esbuild for Node', async () => {
    expect(await run(process.execPath, ['image.mjs'])).toBe('1 2 3\n');
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
      expect(await run(process.execPath, [file])).toBe('1 2 3\n');
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
    expect(await run(process.execPath, ['out/small/small.js'])).toBe('1\n');
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
      expect(await openPage(page, policy('blob:'))).toEqual({ ...(await computed()), missing });
      expect(await openPage(page, policy("'none'"))).toEqual({
        ...(await computed()),
        executor: 'caller',
        missing,
      });
    },
  );
});
