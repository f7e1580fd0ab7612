import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    // Tests import the package by its public names and get the sources, so that a stale dist is never tested.
    alias: [
      { find: /^cyclegrad$/, replacement: source('./engine/index.ts') },
      { find: /^cyclegrad\/nn$/, replacement: source('./engine/nn/index.ts') },
      { find: /^cyclegrad\/tools$/, replacement: source('./engine/tools/index.ts') },
      { find: /^cyclegrad\/optim$/, replacement: source('./optim/index.ts') },
      { find: /^cyclegrad\/schedulers$/, replacement: source('./schedulers/index.ts') },
      { find: /^cyclegrad\/datasets$/, replacement: source('./datasets/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup/kernels.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // By default one core is left idle, which is half of a machine with two.
    maxWorkers: '100%',
  },
});
