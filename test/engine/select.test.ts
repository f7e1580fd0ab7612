/** Opening a backend by its name. */
import { expect, it } from 'vitest';
import { openBackend, type BackendName } from '../../engine/select.ts';
import { BackendError } from '../../engine/errors.ts';

it('opens what is asked for', async () => {
  for (const name of ['wasm', 'reference'] as const) {
    const backend = await openBackend(name, name === 'wasm' ? { threads: 1 } : {});
    expect(backend.name).toBe(name);
    await backend.close();
  }
});

it("options of wasm mean wasm, and 'auto' takes it too unless there is a GPU", async () => {
  const told: string[] = [];
  const plain = await openBackend('auto', { threads: 1, simd: 'plain', tell: (line) => told.push(line) });
  expect(plain.name).toBe('wasm');
  await plain.close();
  const auto = await openBackend('auto', { tell: (line) => told.push(line) });
  expect(['wasm', 'gpu']).toContain(auto.name);
  await auto.close();
  expect(told).toEqual([]);
});

it("'gpu' runs on a GPU or tells why neither WebGPU nor WebGL does: never on something else", async () => {
  const told = await openBackend('gpu').then(
    async (backend) => {
      await backend.close();
      return backend.name;
    },
    (error: unknown) => (error instanceof BackendError ? error.message : String(error)),
  );
  expect(told).toMatch(/^gpu$|^neither WebGPU nor WebGL runs here:\n {2}gpu: .+\n {2}gpu: /);
});

it('an unknown name is refused', async () => {
  await expect(openBackend('cuda' as BackendName)).rejects.toThrow(
    'openBackend: there is no backend "cuda" (there are: auto, wasm, gpu, reference)',
  );
});
