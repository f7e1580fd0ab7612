// Opening a device changes nothing of gpu.js for others in the process.

import { expect, it } from 'vitest';
import { loadGpuJs } from '../../../engine/backends/gpu/packages.ts';
import { compile } from '../../../engine/compile.ts';
import { add, exp, f32, log, matmul } from '../../../engine/ops/index.ts';
import { describeWhere, MODES, withBackend } from './available.ts';

const gpujs = await loadGpuJs();

/** Every method of every class that gpu.js exports and of their bases, static or not, by class and name. */
function methods(): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const add = (owner: string, object: object): void => {
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      const method: unknown = descriptor.value;
      if (typeof method === 'function') found.set(`${owner}.${name}`, method);
    }
  };
  for (const [name, exported] of Object.entries(gpujs)) {
    let own: unknown = exported;
    for (let depth = 0; typeof own === 'function' && own !== Function.prototype; depth++) {
      const owner = `${name}${'.base'.repeat(depth)}`;
      add(owner, own);
      if (typeof own.prototype === 'object') add(`${owner}.prototype`, own.prototype as object);
      own = Object.getPrototypeOf(own);
    }
  }
  return found;
}

const before = methods();

it("finds gpu.js's methods", () => {
  expect([...before.keys()]).toEqual(
    expect.arrayContaining([
      'FunctionBuilder.prototype.traceFunctionCalls',
      'HeadlessGLKernel.base.prototype.setupReturnTypes',
      'WebGL2Kernel.prototype.translateSource',
      'CPUKernel.prototype.build',
    ]),
  );
});

for (const [name, options] of MODES) {
  // oxlint-disable-next-line no-await-in-loop -- suites are declared in order
  await describeWhere(name, options, () => {
    it("leaves gpu.js's classes as they were", () =>
      withBackend(options, async (backend) => {
        const step = await compile(backend, {
          inputs: { a: f32(2, 4), b: f32(4, 4) },
          build: ({ a, b }) => ({ outputs: { y: add(exp(log(a)), matmul(a, b)) } }),
        });
        await step.run({ a: new Float32Array(8).fill(1), b: new Float32Array(16) });
        await step.close();
        const now = methods();
        const names = new Set([...before.keys(), ...now.keys()]);
        expect([...names].filter((key) => now.get(key) !== before.get(key))).toEqual([]);
      }));
  });
}
