// The GPU backend on WebGL, wherever there is a context: two cases of every operation, or all, and the whole contract.

import { assert, expect, it } from 'vitest';
import { openDevice } from '../../../engine/backends/gpu/driver.ts';
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { WebGlDevice } from '../../../engine/backends/gpu/webgl.ts';
import { compile } from '../../../engine/compile.ts';
import { add, f32, matmul } from '../../../engine/ops/index.ts';
import { describeConformance } from '../conformance.ts';
import { describeWhere } from './available.ts';
import { leftOut, limits } from './limits.ts';

await describeWhere('WebGL', { mode: 'webgl' }, () => {
  describeConformance('webgl', () => gpu({ mode: 'webgl' }), {
    ...limits,
    skip: {
      ...leftOut(),
      'relu: special values NaN, Infinity, -Infinity, 0, 0, -1, 1':
        'drivers make a maximum of x < 0 ? 0 : x, which is 0 for NaN',
      'log: special values NaN, Infinity, -Infinity, 0, -1, 1, 1e-40': '1e-40 is 0 to many GPUs',
    },
  });

  it('a matrix of more rows than a texture may have', async () => {
    const backend = await gpu({ mode: 'webgl' });
    const step = await compile(backend, {
      inputs: { a: f32(40_000, 1), b: f32(1, 4) },
      build: ({ a, b }) => ({ outputs: { y: matmul(a, b), twice: add(a, a) } }),
    });
    const a = Float32Array.from({ length: 40_000 }, (_, i) => i);
    const { y, twice } = await step.run({ a, b: Float32Array.of(1, 2, 3, 4) });
    expect(y.data).toEqual(
      Float32Array.from({ length: 160_000 }, (_, i) => Math.floor(i / 4) * ((i % 4) + 1)),
    );
    expect(twice.data).toEqual(a.map((value) => 2 * value));
    await step.close();
    await backend.close();
  });

  it('computes in high precision at any size, where a phone has others', async () => {
    const device = await openDevice({ mode: 'webgl' });
    assert(device instanceof WebGlDevice);
    const { kernels } = device;
    const run = kernels.of({ body: 'return X;', args: {}, output: [4], to: -1 }, '');
    run();
    const { compiledFragmentShader } = run.kernel as unknown as { readonly compiledFragmentShader: string };
    expect(compiledFragmentShader.match(/precision \w+ \w+;/g)).toEqual(
      expect.arrayContaining([
        'precision highp float;',
        'precision highp int;',
        'precision highp sampler2D;',
      ]),
    );
    await device.close();
  });
});
