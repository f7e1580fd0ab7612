/** The engine in a browser: bundled as it is published, in a headless Chromium where there is one. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, assert, beforeAll, describe, expect, it } from 'vitest';
import { withoutNode } from '../../bundle.js';
import { wasm } from 'cyclegrad';
import { simdName } from 'cyclegrad/tools';
import { chromium, ISOLATED, openPage } from './chromium.ts';
import type { PageResults } from './page.ts';
import { firstLosses, train, type First } from './program.ts';

let folder = '';

describe.skipIf(chromium === undefined)(
  `in a browser${chromium === undefined ? ', not here: there is no Chromium' : ''}`,
  () => {
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cyclegrad-browser-'));
      const bundle = await rolldown({
        input: fileURLToPath(new URL('page.ts', import.meta.url)),
        platform: 'browser',
        plugins: [withoutNode()],
        logLevel: 'silent',
      });
      await bundle.write({ dir: join(folder, 'page'), format: 'esm' });
      await bundle.close();
    });
    afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

    it.each([
      ['cross-origin isolated', ISOLATED, 'team of 2 workers', /^none$/],
      ['without shared memory', {}, 'caller', /isolat/],
    ] as const)('%s', { timeout: 120_000 }, async (_, headers, executor, fallback) => {
      const backend = await wasm({ threads: 2, simd: 'relaxed' }); // what the browser takes
      const here = await firstLosses(backend);
      const accuracy = await train(backend);
      await backend.close();
      const there = await openPage<PageResults>(join(folder, 'page'), headers);

      expect(there.isolated).toBe(headers === ISOLATED);
      const inWasm = there.backends['wasm'] as First;
      expect(inWasm.report.executor).toBe(executor);
      expect(inWasm.report.fallback ?? 'none').toMatch(fallback);
      // The same binary on the same processor gives the same bytes, in whatever number of threads.
      expect(simdName(inWasm.report)).toBe(simdName(here.report));
      expect(inWasm.losses).toEqual(here.losses);
      expect(there.accuracy).toBe(accuracy);
      // Also on the page's own thread, other work has its turn while it trains.
      expect(there.ticks).toBeGreaterThan(0);
      const near = here.losses.map((loss) => expect.closeTo(loss, 4));
      for (const name of ['reference', 'webgpu', 'webgl']) {
        expect({ name, ...there.backends[name] }).toMatchObject({ name, losses: near });
      }
      // Both convolutions, their weight gradients and the one input gradient, on WebGL 2.
      const { report } = there.backends['webgl'] as First;
      assert(report.backend === 'gpu');
      expect([report.executor, report.kernels.vec4]).toEqual([expect.stringContaining('webgl2'), 5]);
      expect(there.files).toMatch(/^cyclegrad: \w+ of 'node:\S+' is not in a browser: files, .* need Node$/);
    });
  },
);
