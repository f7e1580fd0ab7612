// What is used of gpu.js beyond its documentation: a new version that changes it fails here, by name.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { functionOf, isModule, type KernelSource } from '../../../engine/backends/gpu/kernel.ts';
import { expressions } from '../../../engine/backends/gpu/kernels/expressions.ts';
import { libraryOf } from '../../../engine/backends/gpu/library.ts';
import { Codec } from '../../../engine/backends/gpu/memory.ts';
import { loadGpuJs, loadingError, PACKAGES } from '../../../engine/backends/gpu/packages.ts';
import { buildProgram } from '../../../engine/backends/gpu/program.ts';
import { Translator } from '../../../engine/backends/gpu/translate.ts';
import { fusions } from '../../../engine/backends/gpu/lower.ts';
import { calleesFirst, mainOf, type GlKernel } from '../../../engine/backends/gpu/webgl.ts';
import { BackendError } from '../../../engine/errors.ts';
import { i32, randomUniform } from '../../../engine/ops/index.ts';
import { ops } from '../../../engine/ops/primitives/index.ts';
import { buildPlan } from '../../../engine/plan/build.ts';
import { key } from '../../../engine/rng.ts';
import { input } from '../../../engine/tensor.ts';
import { buildCase, primitive, type Case } from '../../cases/index.ts';

const require = createRequire(import.meta.url);

/** Translation needs no GPU: gpu.js looks at its adapter and device when a kernel runs, which none does. */
const translator = new Translator(await loadGpuJs(), {} as GPUAdapter, {} as GPUDevice);

const scale: KernelSource = {
  body: 'let sum = 0; for (let k = 0; k < 3000; k++) { sum += w[Y][k]; } return x[X] + sum;',
  args: { x: { buffer: 0, dims: [5] }, w: { buffer: 1, dims: [3000, 7] } },
  output: [5, 7],
  to: 2,
};

const target = { override: () => null, maxArguments: 6, vectors: false, codec: new Codec(true) };

describe('gpu.js as a translator to WGSL', () => {
  it('is the version that is pinned, everywhere', () => {
    const own = JSON.parse(readFileSync(require.resolve('../../../package.json'), 'utf8')) as {
      readonly peerDependencies: Readonly<Record<string, string>>;
      readonly devDependencies: Readonly<Record<string, string>>;
    };
    for (const [name, version] of Object.entries(PACKAGES)) {
      expect(own.peerDependencies[name]).toBe(version);
      expect(own.devDependencies[name]).toBe(version);
    }
    expect((require('gpu.js/package.json') as { readonly version: string }).version).toBe(PACKAGES['gpu.js']);
  });

  it('bakes sizes in, numbers threads along one axis, and binds arguments, then the result', () => {
    const { code, bindings, workgroups } = translator.translate('scale', scale, Infinity);
    expect(code).toContain(
      'const params = Params(5u, 7u, 1u, 0u, vec4<u32>(5u, 1u, 1u, 5u), vec4<u32>(3000u, 7u, 1u, 21000u));',
    );
    expect(code).not.toContain('var<uniform>');
    expect(code).toContain('threadGid = vec3<u32>(flat % 5u, (flat / 5u) % 7u, flat / 35u);');
    expect(code).toContain('@binding(0) var<storage, read> user_x');
    expect(code).toContain('@binding(1) var<storage, read> user_w');
    expect(code).toContain('@binding(2) var<storage, read_write> result');
    expect([bindings, workgroups]).toEqual([[0, 1, 2].map((buffer) => ({ buffer, part: 0 })), [1, 1, 1]]);
  });

  it('keeps the index of a thread an integer, which a local would not be', () => {
    const { code } = translator.translate('scale', scale, Infinity);
    expect(code).toContain('get_user_x(0, 0, i32(i32(threadGid.x)))');
  });

  it('cuts the position of a random draw as an integer, beyond what a float counts to', () => {
    const types = { step: i32() };
    const y = randomUniform([2 ** 25], key(1, 'draws'), input('step', types.step));
    const plan = buildPlan({ outputs: { y }, next: {}, feeds: types, state: {} }, fusions);
    const [source] = buildProgram(plan, target).steps.flatMap(({ kernels }) => kernels);
    const { code } = translator.translate('random', source as KernelSource, Infinity);
    expect(code).toContain('user_block1 : f32 = f32((i32(threadGid.x) >> u32(18)))');
    expect(code).toContain('user_block0 : f32 = f32(((i32(threadGid.x) >> u32(2)) & 65535))');
    expect(code).toContain('user_word : f32 = f32((i32(threadGid.x) & 3))');
  });

  it("reads an argument that lies in the result's memory from there", () => {
    const { code, bindings } = translator.translate('scale', { ...scale, to: 0 }, Infinity);
    expect(code).toContain('return result[');
    expect(code).not.toContain('var<storage, read> user_x');
    expect(code).toContain('@binding(1) var<storage, read_write> result');
    expect(bindings).toEqual([1, 0].map((buffer) => ({ buffer, part: 0 })));
  });

  it('folds more workgroups than one axis has', () => {
    const { code, workgroups } = translator.translate('scale', { ...scale, output: [3000, 3000] }, Infinity);
    expect(workgroups).toEqual([46_875, 3, 1]);
    expect(code).toContain('let flat = gid.x + gid.y * 3000000u;');
  });

  it('reads what is larger than a binding from several, one after the other', () => {
    const { code, bindings } = translator.translate('scale', scale, 8192);
    expect(code).toContain('@binding(2) var<storage, read> user_w_part1 : array<f32>;');
    expect(code).toContain(
      '  if (at < 16384u) { return user_w_part1[at - 8192u]; }\n  return user_w_part2[at - 16384u];',
    );
    expect(code).toContain('@binding(4) var<storage, read_write> result : array<f32>;');
    expect(bindings).toEqual([
      { buffer: 0, part: 0 },
      ...[0, 1, 2].map((part) => ({ buffer: 1, part })),
      { buffer: 2, part: 0 },
    ]);
  });

  it('reads packed bytes as floats, and one thread writes the four of a word', () => {
    const { code, workgroups } = translator.translate(
      'scale',
      { ...scale, bytes: new Set([0, 2]) },
      Infinity,
    );
    expect(code).toContain('var<storage, read> user_x : array<u32>;');
    expect(code).toContain('return f32((user_x[at / 4u] >> (8u * (at % 4u))) & 255u);');
    expect(code).toContain('var<storage, read> user_w : array<f32>;');
    expect(code).toContain('var<storage, read_write> result : array<u32>;');
    expect(code).toContain('if (flat >= 9u) { return; }');
    expect(code).toContain('i < 4u && 4u * flat + i < 35u');
    expect(code).not.toContain('result[data_index]');
    expect(workgroups).toEqual([1, 1, 1]);
  });

  it('leaves `navigator` as it was', () => {
    expect((globalThis.navigator as { readonly gpu?: unknown } | undefined)?.gpu).toBeUndefined();
  });

  it.each(Object.keys(primitive))('has no loop in %s that gpu.js would cut, and translates to WGSL', (op) => {
    const own: readonly Case[] = primitive[op as keyof typeof primitive];
    for (const item of own.filter(({ tags }, i) => i < 4 || tags.includes('large'))) {
      const inputs = Object.fromEntries(
        Object.entries(item.inputs).map(([name, draw]) => [name, input(name, draw)]),
      );
      const outputs = Object.fromEntries(buildCase(item, inputs).map((t, i) => [`y${i}`, t]));
      const plan = buildPlan({ outputs, next: {}, feeds: item.inputs, state: {} }, fusions);
      const { steps } = buildProgram(plan, target);
      for (const source of steps.flatMap(({ kernels }) => kernels)) {
        expect(isModule(source)).toBe(false);
        const { code } = translator.translate(op, source as KernelSource, Infinity);
        expect(code, `${op}: ${item.name}`).not.toContain('LOOP_MAX');
      }
    }
  });
});

describe('the table of expressions', () => {
  it('has every operation on elements', () => {
    const names = Object.values(ops).flatMap((op) => (op.elementwise === undefined ? [] : [op.name]));
    expect(Object.keys(expressions).sort()).toEqual(names.sort());
  });

  it('takes what it needs of the library, and no more', () => {
    const source = functionOf({ body: 'return remainder(X, 3);', args: {}, output: [1], to: 0 });
    expect(
      libraryOf(source)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['quotient', 'remainder']);
  });
});

describe('what is missing', () => {
  it('a package: the command that installs it', async () => {
    const name: string = 'no-such-package';
    const cause: unknown = await import(name).catch((error: unknown) => error);
    const error = loadingError('gpu.js', cause);
    expect(error).toBeInstanceOf(BackendError);
    expect(error.cause).toBe(cause);
    expect(error.message).toBe('gpu: the package gpu.js is not installed (npm install gpu.js@2.24.1)');
  });

  it('a package in a bundle that was built without it: the same', () => {
    const cause = Object.assign(new Error("Cannot find module 'webgpu'"), { code: 'MODULE_NOT_FOUND' });
    expect(loadingError('webgpu', cause).message).toBe(
      'gpu: the package webgpu is not installed (npm install webgpu@0.6.2)',
    );
  });

  it('a library that the package needs: the message of the loader', () => {
    const error = loadingError('webgpu', new Error("version 'GLIBC_2.38' not found"));
    expect(error.message).toBe(
      "gpu: the package webgpu does not load here: version 'GLIBC_2.38' not found (npm install webgpu@0.6.2)",
    );
  });

  it('an option that does not exist', async () => {
    await expect(gpu({ modus: 'cpu' } as never)).rejects.toThrow(
      new TypeError("gpu: unknown option 'modus' (known: mode, overrides, dawn)"),
    );
    await expect(gpu({ mode: 'cuda' as never })).rejects.toThrow(
      new RangeError("gpu: mode must be 'hardware' or 'webgpu' or 'webgl' or 'cpu', got 'cuda'"),
    );
  });
});

describe('the order of functions in GLSL', () => {
  it('declares a function that two others share before both, and what it calls before it', async () => {
    const calls: Readonly<Record<string, readonly string[]>> = {
      kernel: ['exp', 'log'],
      exp: ['scaled'],
      log: ['scaled', 'exp'],
      scaled: ['power'],
      power: [],
    };
    const functionMap = Object.fromEntries(
      Object.entries(calls).map(([name, calledFunctions]) => [
        name,
        { calledFunctions, toString: () => name },
      ]),
    );
    expect(calleesFirst({ functionMap })).toEqual(['power', 'scaled', 'exp', 'log', 'kernel']);
    // Once gpu.js does this itself, ours can go.
    const { FunctionBuilder: builder } = (await loadGpuJs()) as unknown as {
      readonly FunctionBuilder: { readonly prototype: { readonly traceFunctionCalls: () => string[] } };
    };
    const { traceFunctionCalls } = builder.prototype;
    const theirs = traceFunctionCalls
      .call({ functionMap, nativeFunctionNames: [], traceFunctionCalls } as never)
      .reverse();
    expect(theirs.indexOf('power')).toBeGreaterThan(theirs.indexOf('scaled'));
  });
});

describe('the end of main in GLSL', () => {
  it.each(['HeadlessGLKernel', 'WebGL2Kernel'])(
    'of %s writes four results, in a loop or at once',
    async (name) => {
      const { prototype } = (
        (await loadGpuJs()) as unknown as Record<string, { readonly prototype: GlKernel }>
      )[name];
      const main = (returnType: string): string =>
        mainOf(Object.assign(Object.create(prototype) as GlKernel, { returnType }));
      const texel = name === 'WebGL2Kernel' ? 'data0' : 'gl_FragData[0]';
      expect(main('Number')).toMatch(
        /indexTo3D\(4 \* index \+ i, uOutputDim\);\n +kernel\(\);\n +results\[i\] = kernelResult;/,
      );
      expect(main('Number')).toContain(`${texel} = results;`);
      expect(main('Array(4)')).toContain(`${texel} = kernelResult;`);
    },
  );

  it('says so where gpu.js has other lines', () => {
    const other = {
      returnType: 'Number',
      getMainResultKernelMemoryOptimizedFloats: (lines: string[]) => lines.push('result = kernelResult'),
    };
    expect(() => mainOf(other as unknown as GlKernel)).toThrow(
      new BackendError(
        "gpu: gpu.js's GLSL is not as expected (is it version 2.24.1?):\nresult = kernelResult",
      ),
    );
  });
});
