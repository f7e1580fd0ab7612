import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { arrays, loader } from '../../datasets/index.ts';
import { checkArrays, dtypeOfArray, typedArrayName } from '../../engine/host.ts';
import { compile, evaluate, f32, fit, gpu, predict, reference, tensor, wasm, type State } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { sgd } from '../../optim/index.ts';

/** A value made in another realm, whose typed arrays are no instances of this realm's classes. */
const foreign = <T>(code: string): T => runInNewContext(code) as T;

describe('the dtype of data does not depend on the realm that made it', () => {
  test.each([
    ['Float32Array.of(0.5, 1.5)', 'f32'],
    ['Float64Array.of(0.5, 1.5)', 'f32'],
    ['Int8Array.of(1)', 'i32'],
    ['Int16Array.of(1)', 'i32'],
    ['Uint16Array.of(1)', 'i32'],
    ['Int32Array.of(1)', 'i32'],
    ['Uint32Array.of(1)', 'i32'],
    ['Uint8Array.of(1)', 'u8'],
    ['Uint8ClampedArray.of(1)', 'u8'],
    ['BigInt64Array.of(1n)', undefined],
    ['new DataView(new ArrayBuffer(8))', undefined],
    ['new ArrayBuffer(8)', undefined],
    ['[1, 2]', undefined],
    ['({ [Symbol.toStringTag]: "Float32Array" })', undefined],
    ['null', undefined],
  ])('%s', (code, dtype) => {
    expect(dtypeOfArray(foreign(code))).toBe(dtype);
  });

  test('a Buffer holds bytes', () => expect(typedArrayName(Buffer.alloc(2))).toBe('Uint8Array'));

  test('tensor, arrays and normalize', async () => {
    const t = tensor(foreign<Float32Array>('Float32Array.of(0.5, 1.5)'));
    expect(t.dtype).toBe('f32');
    expect([...(await t.mul(2).data())]).toEqual([1, 3]);
    const data = foreign<Float32Array>('Float32Array.of(0.5, 1.5)');
    const set = arrays({ shape: [2], data }, foreign<Float32Array>('Float32Array.of(0.25, 0.75)'));
    expect([set.x.dtype, set.y.dtype]).toEqual(['f32', 'f32']);
    expect([[...set.whole!.x], [...set.whole!.y]]).toEqual([
      [0.5, 1.5],
      [0.25, 0.75],
    ]);
    const bytes = arrays({ shape: [1, 2], data: foreign<Uint8Array>('Uint8Array.of(5, 6)') }, [0]);
    expect(bytes.x.dtype).toBe('u8');
    const mean = nn.initState(nn.normalize(data), null, 0)['mean'];
    expect([...mean.data]).toEqual([0.5, 1.5]);
  });

  test('feeds, states and examples, on every backend', async () => {
    const model = nn.sequential({ d: nn.dense(2, 2) });
    const state = foreign<State>(`({
      'd.weight': { shape: [2, 2], dtype: 'f32', data: Float32Array.of(0.5, 0, 0, 0.25) },
      'd.bias': { shape: [2], dtype: 'f32', data: Float64Array.of(0, 0) },
    })`);
    const x = foreign<Float32Array>('Float32Array.of(0.5, 1.5)');
    for (const backend of [reference(), await wasm({ threads: 1 }), await gpu({ mode: 'cpu' })]) {
      const twice = await compile(backend, {
        inputs: { x: f32(2) },
        build: (inputs) => ({ outputs: { y: inputs.x.mul(2) } }),
      });
      expect([...(await twice.run({ x })).y.data]).toEqual([1, 3]);
      await twice.close();
      const data = { shape: [1, 2], dtype: 'f32', data: x } as const;
      const { logits } = await predict({ model, state, backend, data });
      expect([...logits.data]).toEqual([0.25, 0.375]);
      const examples = arrays({ shape: [1, 2], data: x }, [1]);
      const { loss } = await evaluate({ model, state, backend, data: examples });
      expect(loss).toBeCloseTo(Math.log1p(Math.exp(0.25 - 0.375)), 6);
      const trained = await fit({
        model,
        backend,
        steps: 1,
        data: loader(examples, { batchSize: 1 }),
        optimizer: sgd({ lr: 0 }),
        initial: state,
      });
      expect([...trained.state['d.weight'].data]).toEqual([0.5, 0, 0, 0.25]);
      await backend.close();
    }
  });
});

describe('an array is what it says it is', () => {
  const of = (parts: object) => ({ a: { shape: [2], dtype: 'f32', data: Float32Array.of(1, 2), ...parts } });
  class Weights {
    a = of({}).a;
  }
  test.each([
    [of({ shape: [3] }), "'a' is f32 [3], 3 elements, but its data is Float32Array (2)"],
    [of({ shape: [1] }), "'a' is f32 [1], 1 elements, but its data is Float32Array (2)"],
    [of({ data: Int32Array.of(1, 2) }), "'a' is f32 [2], 2 elements, but its data is Int32Array (2)"],
    [of({ dtype: 'u8' }), "'a' is u8 [2], 2 elements, but its data is Float32Array (2)"],
    [of({ dtype: 'i32', data: Uint32Array.of(1, 2) }), 'but its data is Uint32Array (2)'],
    [of({ data: [1, 2] }), "'a' is f32 [2], 2 elements, but its data is an array"],
    [of({ data: new ArrayBuffer(8) }), 'but its data is an object'],
    [of({ data: undefined }), 'but its data is undefined'],
    [of({ dtype: 'f16' }), "'a' has dtype 'f16' (use 'f32', 'i32' or 'u8')"],
    [of({ dtype: undefined }), "'a' has dtype undefined"],
    [of({ dtype: 'toString' }), "'a' has dtype 'toString'"],
    [of({ shape: [-1, -2] }), "'a' has the shape [-1,-2]: -1 is not a size"],
    [of({ shape: [0.5, 4] }), "'a' has the shape [0.5,4]: 0.5 is not a size"],
    [of({ shape: 2 }), "'a' must be an array { shape, dtype, data }, got an object"],
    [{ a: Float32Array.of(1) }, "'a' must be an array { shape, dtype, data }"],
    [{ a: null }, "'a' must be an array { shape, dtype, data }, got null"],
    [Object.fromEntries([['__proto__', of({}).a]]), "'__proto__' cannot name an array (rename it)"],
    [{ __proto__: of({}) }, 'must be a plain object of arrays by name, got an object'],
    [new Map(Object.entries(of({}))), 'must be a plain object of arrays by name, got an object'],
    [[of({}).a], 'must be a plain object of arrays by name, got an array'],
    [new Weights(), 'must be a plain object of arrays by name, got an object'],
    [null, 'must be a plain object of arrays by name, got null'],
  ])('%o', async (state, message) => {
    expect(() => checkArrays('where', state as never)).toThrow(message);
    for (const backend of [reference(), await wasm({ threads: 1 }), await gpu({ mode: 'cpu' })]) {
      await expect(backend.createStore(state as never)).rejects.toThrow(
        `createStore: ${message}`.slice(0, 11),
      );
      await expect(backend.createStore(state as never)).rejects.toThrow(message);
      await backend.close();
    }
  });

  test('shared memory, views with offsets and double precision are read as they are', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2);
    shared.set([1, 2]);
    const state: State = {
      shared: { shape: [2], dtype: 'f32', data: shared },
      view: { shape: [2], dtype: 'i32', data: Int32Array.of(9, 3, 4, 9).subarray(1, 3) },
      odd: { shape: [3], dtype: 'u8', data: new Uint8Array(Uint8Array.of(9, 5, 6, 7).buffer, 1) },
      double: { shape: [1], dtype: 'f32', data: Float64Array.of(0.5) },
    };
    for (const backend of [reference(), await wasm({ threads: 1 }), await gpu({ mode: 'cpu' })]) {
      const store = await backend.createStore(state);
      const held = await store.read();
      const values = Object.entries(held).map(([name, { data }]) => [name, ...data]);
      expect(values).toEqual([
        ['shared', 1, 2],
        ['view', 3, 4],
        ['odd', 5, 6, 7],
        ['double', 0.5],
      ]);
      await store.close();
      await backend.close();
    }
  });
});
