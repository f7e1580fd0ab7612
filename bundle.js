// Bundles what other people import: one file for each public entry and a few for what they share, since a module a file
// takes twice as long to load. Types, the command, examples and benchmarks stay as the compiler writes them.
import { rolldown } from 'rolldown';

const entries = ['engine', 'optim', 'schedulers', 'datasets'];

const bundle = await rolldown({
  input: Object.fromEntries(entries.map((name) => [name, `dist/${name}/index.js`])),
  platform: 'node',
  // Dependencies, but not our own files, which begin with a dot, a slash or a drive.
  external: (id) => !/^([./\\]|[A-Za-z]:)/.test(id),
});
await bundle.write({ dir: 'dist/lib', format: 'esm', chunkFileNames: 'shared-[hash].js', cleanDir: true });
await bundle.close();
