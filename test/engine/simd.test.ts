import { afterEach, describe, expect, it, vi } from 'vitest';
import { chooseSimd, wideSimdUnavailableReason } from '../../engine/backends/wasm/simd.ts';

/** This process, but for some of its properties: one that could join vectors unless told otherwise. */
function pretend(properties: Readonly<Record<string, unknown>>): void {
  const able = {
    arch: 'x64',
    versions: { ...process.versions, v8: '13.6.1' },
    config: { variables: { v8_enable_wasm_simd256_revec: 1 } },
  };
  const descriptors = Object.entries({ ...able, ...properties }).map(
    ([name, value]) => [name, { value }] as const,
  );
  vi.stubGlobal('process', Object.create(process, Object.fromEntries(descriptors)));
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.doUnmock('node:v8');
});

describe('whether vectors are joined', () => {
  it.each([
    [{ arch: 'arm64' }, 'the processor is arm64, not x64'],
    [{ versions: { v8: '12.4.254' } }, 'it was tested with Node 24 to 26, not with V8 12'],
    [{ versions: { v8: '15.1' } }, 'it was tested with Node 24 to 26, not with V8 15'],
    [{ versions: {} }, 'this is not Node'],
    [{ config: { variables: {} } }, 'this build of Node cannot'],
    [{ config: undefined }, 'this build of Node cannot'],
  ])('%j', (properties, reason) => {
    pretend(properties);
    expect(wideSimdUnavailableReason()).toBe(reason);
  });

  it('a page has no process', () => {
    vi.stubGlobal('process', undefined);
    expect(wideSimdUnavailableReason()).toBe('this is not Node');
  });
});

describe('the kind that is chosen', () => {
  it('is what is asked for', async () => {
    for (const kind of ['plain', 'relaxed', 'wide'] as const)
      expect(await chooseSimd('here', kind)).toBe(kind);
  });

  it('by itself is relaxed where vectors are not joined', async () => {
    pretend({ arch: 'arm64' });
    expect(await chooseSimd('here', 'auto')).toBe('relaxed');
  });

  it('is relaxed, too, where a runtime has no flags to set', async () => {
    await chooseSimd('here', 'relaxed'); // on Node 20 the instructions themselves need one
    pretend({});
    vi.doMock('node:v8', () => ({
      setFlagsFromString: () => {
        throw new Error('not implemented');
      },
    }));
    expect(await chooseSimd('here', 'auto')).toBe('relaxed');
  });

  it('is plain, or refused, without relaxed SIMD', async () => {
    vi.stubGlobal('WebAssembly', { ...WebAssembly, validate: () => false });
    vi.stubGlobal('process', undefined);
    expect(await chooseSimd('here', 'auto')).toBe('plain');
    await expect(chooseSimd('here', 'wide')).rejects.toThrow(
      "here: this JavaScript engine has no relaxed SIMD (use simd: 'plain' or 'auto')",
    );
  });
});
