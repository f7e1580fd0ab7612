// Bundles what other people import: one file for each public entry and a few for what they share, since a module a file
// takes twice as long to load. Types, the command, examples and benchmarks stay as the compiler writes them. Browsers have
// files of their own in dist/lib/browser, with their dependencies.
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const entries = {
  engine: 'engine',
  nn: 'engine/nn',
  optim: 'optim',
  schedulers: 'schedulers',
  datasets: 'datasets',
  tools: 'engine/tools',
};

/** Packages that only work in Node, all behind functions that read and write files, archives and terminals. */
const NODE_ONLY = ['cli-progress', 'env-paths', 'fast-png', 'jpeg-js', 'tar-stream', 'webgpu'];

/**
 * In browsers, whatever comes from Node and from packages for it throws when it is called, and says so.
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
      return exported
        .map((key) => {
          const message = `cyclegrad: ${key} of '${name}' is not in a browser: files, archives and terminals need Node`;
          return `function no_${key}() { throw new Error(${JSON.stringify(message)}); }\nexport { no_${key} as ${key} };`;
        })
        .join('\n');
    },
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
        // Installs the methods of tensors, a side effect: package.json names it, so that bundlers keep it.
        { name: 'methods', test: /dist[\\/]engine[\\/]methods\.js$/ },
        // Bundlers leave out a file that nobody uses, but not statements of a file that may have side effects.
        { name: 'd3', test: /node_modules[\\/](d3-|internmap)/ },
      ],
    },
  });
  await bundle.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Dependencies, but not our own files, which begin with a dot, a slash or a drive.
  await write('dist/lib', { platform: 'node', external: (id) => !/^([./\\]|[A-Za-z]:)/.test(id) });
  // gpu.js is for whoever wants a GPU to install.
  await write('dist/lib/browser', { platform: 'browser', external: ['gpu.js'], plugins: [withoutNode()] });
}
