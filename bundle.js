// Bundles the public entries: one file for each and a few shared ones, because one module per file takes twice as long to load.
// Types, the command and the benchmarks stay as the compiler writes them. Browsers have separate files in dist/lib/browser, which
// include the dependencies. The examples become JavaScript for `cyclegrad example`.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { rolldown } from 'rolldown';
import { isMain } from './programs.js';

const entries = {
  engine: 'engine',
  nn: 'engine/nn',
  optim: 'optim',
  schedulers: 'schedulers',
  augment: 'engine/augment',
  datasets: 'datasets',
  metrics: 'engine/metrics',
  tools: 'engine/tools',
  zoo: 'engine/zoo',
  interop: 'engine/interop',
  ui: 'cli/ui',
  worker: 'engine/worker',
};

/** Packages that only work in Node, all behind functions that read and write files, archives and terminals. */
const NODE_ONLY = ['cli-progress', 'env-paths', 'pickleparser', 'sharp', 'tar-stream', 'webgpu', 'yauzl'];

/** `createHash` of node:crypto for browsers, whose own digests are asynchronous and missing on pages without https. */
const HASH = `
import { sha256 } from ${JSON.stringify(fileURLToPath(import.meta.resolve('@noble/hashes/sha2.js')))};
export function createHash(name) {
  if (name !== 'sha256') throw new Error("cyclegrad: createHash('" + name + "') of 'node:crypto' is not in a browser");
  const hash = sha256.create();
  return {
    update(data) {
      hash.update(typeof data === 'string' ? new TextEncoder().encode(data) : data);
      return this;
    },
    digest: () => Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
}`;

/**
 * In browsers, functions of Node and of packages for Node throw when they are called.
 * @returns {import('rolldown').Plugin}
 */
export function withoutNode() {
  const mark = '\0without:';
  return {
    name: 'without-node',
    resolveId: (id) => (id.startsWith('node:') || NODE_ONLY.includes(id) ? mark + id : null),
    async load(id) {
      if (!id.startsWith(mark)) return null;
      const name = id.slice(mark.length);
      const exported = Object.keys(await import(name)).filter((key) => /^[A-Za-z_$][\w$]*$/.test(key));
      const hashes = name === 'node:crypto';
      return (hashes ? exported.filter((key) => key !== 'createHash') : exported)
        .map((key) => {
          const message = `cyclegrad: ${key} of '${name}' is not in a browser: files, archives and terminals need Node`;
          return `function no_${key}() { throw new Error(${JSON.stringify(message)}); }\nexport { no_${key} as ${key} };`;
        })
        .concat(hashes ? [HASH] : [])
        .join('\n');
    },
  };
}

/**
 * In Node, sharp stays a package of its own. Bundlers follow an import of a literal name, and would then stop at its binaries.
 * @returns {import('rolldown').Plugin}
 */
function withoutFollowingSharp() {
  const name = "/* @vite-ignore */ /* webpackIgnore: true */ ['sharp'].join()";
  return {
    name: 'without-following-sharp',
    renderChunk: (code) => code.replace(/\bimport\(['"]sharp['"]\)/, `import(${name})`),
  };
}

/**
 * @param {string} dir
 * @param {import('rolldown').InputOptions} options
 */
async function write(dir, options) {
  const bundle = await rolldown({
    input: Object.fromEntries(
      Object.entries(entries).map(([name, folder]) => [name, `dist/${folder}/index.js`]),
    ),
    ...options,
  });
  await bundle.write({
    dir,
    format: 'esm',
    chunkFileNames: ({ name }) => (name === 'methods' ? 'methods.js' : 'shared-[hash].js'),
    cleanDir: true,
    codeSplitting: {
      groups: [
        // What pages need to train in a worker, without the engine, which the file of methods contains.
        { name: 'base', test: /dist[\\/]engine[\\/](errors|path|options|suggest)\.js$/ },
        // Installs the methods of tensors, a side effect: package.json names it, so that bundlers keep it.
        { name: 'methods', test: /dist[\\/]engine[\\/]methods\.js$/ },
        // Bundlers leave out a file that nobody uses, but not statements of a file that may have side effects.
        { name: 'd3', test: /node_modules[\\/](d3-|internmap)/ },
      ],
    },
  });
  await bundle.close();
}

/** The compiler drops blank lines but keeps comments. */
const BLANK = '//blank';

/**
 * Writes every example into `dir` as NAME.mjs: without types, with its comments and blank lines. Node 20 runs no TypeScript, and the
 * extension makes the file a module in any project.
 * @param {string} dir
 */
export async function writeExamples(dir) {
  const root = fileURLToPath(new URL('.', import.meta.url));
  const temporary = mkdtempSync(join(tmpdir(), 'cyclegrad-examples-'));
  try {
    const names = readdirSync(join(root, 'examples'))
      .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
      .map((file) => file.replace(/\.ts$/, ''));
    for (const name of names) {
      const source = readFileSync(join(root, 'examples', `${name}.ts`), 'utf8');
      writeFileSync(join(temporary, `${name}.mts`), source.replaceAll(/^$/gm, BLANK));
    }
    const options = [
      '--target',
      'es2022',
      '--module',
      'esnext',
      '--verbatimModuleSyntax',
      '--noCheck',
      '--noResolve',
    ];
    const files = names.map((name) => join(temporary, `${name}.mts`));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [tsc, '--ignoreConfig', ...options, ...files], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const style = await resolveConfig(join(root, 'bundle.js'));
    mkdirSync(dir, { recursive: true });
    for (const name of names) {
      const emitted = readFileSync(join(temporary, `${name}.mjs`), 'utf8');
      const text = emitted.replaceAll(new RegExp(`^ *${BLANK}$`, 'gm'), '');
      writeFileSync(join(dir, `${name}.mjs`), await format(text, { ...style, parser: 'babel' }));
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * Writes the files of the live page into `dir`: one script, one style sheet, and what needs no build.
 * @param {string} dir
 */
export async function writePage(dir) {
  const page = fileURLToPath(new URL('cli/ui/page/', import.meta.url));
  mkdirSync(dir, { recursive: true });
  const uplot = fileURLToPath(new URL('node_modules/uplot/', import.meta.url));
  const bundle = await rolldown({ input: join(page, 'main.ts'), platform: 'browser' });
  const { output } = await bundle.generate({ format: 'esm', minify: true });
  await bundle.close();
  // The license of uPlot requires its text in every copy.
  const license = `/*! The charts are drawn by uPlot.\n\n${readFileSync(join(uplot, 'LICENSE'), 'utf8')}*/\n`;
  writeFileSync(join(dir, 'page.js'), license + output[0].code);
  const styles = [join(uplot, 'dist/uPlot.min.css'), join(page, 'base.css'), join(page, 'page.css')];
  writeFileSync(
    join(dir, 'page.css'),
    [license, ...styles.map((path) => readFileSync(path, 'utf8'))].join(''),
  );
  for (const name of ['index.html', 'icon.svg']) copyFileSync(join(page, name), join(dir, name));
}

if (isMain(import.meta.url)) {
  await writePage('dist/cli/ui/assets');
  await writeExamples('dist/examples');
  // Dependencies, but not our own files, which begin with a dot, a slash or a drive.
  await write('dist/lib', {
    platform: 'node',
    external: (id) => !/^([./\\]|[A-Za-z]:)/.test(id),
    plugins: [withoutFollowingSharp()],
  });
  // gpu.js is an optional peer dependency.
  await write('dist/lib/browser', { platform: 'browser', external: ['gpu.js'], plugins: [withoutNode()] });
}
