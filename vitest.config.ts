import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { entries } from './docs/reference/entries.js';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * Files with a process of their own: they change flags of V8, replace modules, or take longest. The others share processes, because
 * loading the engine for each file took a quarter of the time of all tests.
 */
const OWN_PROCESS = [
  'engine/{wasm,wasm-waiting,wasm-host,wasm-processes,simd,winograd,gradcheck,accuracy}',
  'engine/gpu/{cpu,webgpu,webgl}',
  'docs/{blocks,examples,commands}',
  'browser/browser',
  'cli/process',
  'examples',
].map((name) => `test/${name}.test.ts`);

/** The longest files, longest first. Started last, one of them would keep a single core busy long after the others are done. */
const LONGEST = [
  'wasm',
  'browser',
  'gradcheck',
  'wasm-processes',
  'accuracy',
  'blocks',
  'winograd',
  'process',
  'examples',
];

/** Starts the longest files first. Vitest knows durations only from an earlier run, which a fresh clone does not have. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.indexOf(/([^/]+)\.test\.ts$/.exec(moduleId)?.[1] ?? '');
      return at === -1 ? LONGEST.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  resolve: {
    // Tests import the package by its public names and get the sources, so that a stale dist is never tested.
    alias: entries.map(({ name, source: file }) => ({
      find: new RegExp(`^${name}$`),
      replacement: source(`./${file}`),
    })),
  },
  test: {
    projects: [
      { extends: true, test: { name: 'own process', include: OWN_PROCESS } },
      {
        extends: true,
        test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: OWN_PROCESS, isolate: false },
      },
    ],
    globalSetup: ['test/setup/kernels.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // By default one core is left idle, which is half of a machine with two.
    maxWorkers: '100%',
  },
});
