/** Opening a backend by its name. */
import { expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import type { Report } from '../../engine/backends/report.ts';
import { compile } from '../../engine/compile.ts';
import { openBackend, type BackendName } from '../../engine/select.ts';
import { BackendError } from '../../engine/errors.ts';

async function reportOf(backend: Backend): Promise<Report> {
  const step = await compile(backend, { build: () => ({ outputs: {} }) });
  const { report } = step;
  await step.close();
  await backend.close();
  return report;
}

it('opens what is asked for', async () => {
  for (const name of ['wasm', 'reference'] as const) {
    const backend = await openBackend(name, name === 'wasm' ? { threads: 1 } : {});
    expect(backend.name).toBe(name);
    await backend.close();
  }
});

it("options of wasm mean wasm, and 'auto' takes it too unless there is a GPU", async () => {
  const messages: string[] = [];
  const log = (message: string): void => void messages.push(message);
  const plain = await reportOf(await openBackend('auto', { threads: 1, simd: 'plain', log }));
  expect(plain).toMatchObject({ backend: 'wasm', simd: 'plain', fallback: null });
  expect(plain).not.toHaveProperty('noGpu');
  const auto = await reportOf(await openBackend('auto', { log }));
  const reason = auto.backend === 'wasm' && auto.fallback === null ? auto.noGpu : auto.backend;
  expect(reason).toMatch(/^gpu$|^gpu: ./);
  expect(messages).toEqual([]);
});

it("'hardware' opens a GPU or throws: never another backend", async () => {
  const opened = gpu().then(async (backend) => {
    await backend.close();
    return backend.name;
  });
  expect(await opened.catch((error: unknown) => error)).toSatisfy(
    (result) => result === 'gpu' || result instanceof BackendError,
  );
});

it("'gpu' runs on a GPU or says why neither WebGPU nor WebGL does: never on something else", async () => {
  const opened = await openBackend('gpu').then(
    async (backend) => {
      await backend.close();
      return backend.name;
    },
    (error: unknown) => (error instanceof BackendError ? error.message : String(error)),
  );
  expect(opened).toMatch(
    /^gpu$|^openBackend: neither WebGPU nor WebGL is available \(use 'auto' or 'wasm'\):\n {2}gpu: .+\n {2}gpu: /,
  );
});

it('an unknown name is refused', async () => {
  await expect(openBackend('cuda' as BackendName)).rejects.toThrow(
    "openBackend: unknown backend 'cuda' (known: auto, wasm, gpu, reference)",
  );
});
