/** The engine in a page that forbids code from text, and training in a worker there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withoutNode } from '../../bundle.js';
import { chromium, ISOLATED, openPage } from './chromium.ts';
import type { PolicyResults } from './policy-page.ts';

const POLICY = {
  'Content-Security-Policy':
    "default-src 'none'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:",
};

let folder = '';

describe.skipIf(chromium === undefined)(
  `under a content security policy${chromium === undefined ? ', not here: there is no Chromium' : ''}`,
  () => {
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cyclegrad-policy-'));
      const source = (name: string): string => fileURLToPath(new URL(`${name}.ts`, import.meta.url));
      const bundle = await rolldown({
        input: { page: source('policy-page'), 'policy-worker': source('policy-worker') },
        platform: 'browser',
        plugins: [withoutNode()],
        logLevel: 'silent',
      });
      await bundle.write({ dir: folder, format: 'esm' });
      await bundle.close();
    });
    afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

    it.each([
      ['cross-origin isolated', ISOLATED, 'team of 2 workers', /^none$/],
      ['without shared memory', {}, 'caller', /^a page without cross-origin isolation cannot share memory/],
    ] as const)('%s', { timeout: 120_000 }, async (_, headers, executor, fallback) => {
      const there = await openPage<PolicyResults>(folder, { ...headers, ...POLICY });
      expect(there.isolated).toBe(headers === ISOLATED);
      expect(there.violations).toEqual([]);
      const { rates, checkpoint, ...worker } = there.worker;
      expect(worker).toEqual({
        executor,
        fallback: expect.toSatisfy((text: string | null) => fallback.test(text ?? 'none')) as never,
        reason: 'done',
        steps: 60,
        resumed: true,
        missing:
          'trainInWorker: the worker failed: its file is missing, or a content security policy refuses it',
      });
      // The rate changed at a step between two events.
      const before = rates.indexOf(0.05) === -1 ? 0 : rates.lastIndexOf(0.05) + 1;
      expect(rates).toHaveLength(60);
      expect(before).toBeLessThan(60);
      expect(checkpoint).toBeGreaterThan(4 * 4096);
      const forbids = "this environment forbids it (allow 'unsafe-eval', or use the wasm backend)";
      expect(there.backends).toEqual({
        wasm: 'wasm: 2,4,6',
        webgpu: 'gpu: 2,4,6',
        webgl: 'gpu: 2,4,6',
        cpu: `gpu: the mode 'cpu' of gpu.js compiles kernels from text, and ${forbids}`,
        reference: `reference: ndarray-ops compiles loops from text, and ${forbids}`,
        onnx: expect.stringMatching(/^toOnnx: protobufjs compiles its encoder from text/) as never,
      });
    });
  },
);
