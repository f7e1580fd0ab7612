import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { arrays, loader } from '../../datasets/index.ts';
import { dtypeOfArray, typedArrayName } from '../../engine/host.ts';
import {
  compile,
  dense,
  evaluate,
  f32,
  fit,
  gpu,
  initState,
  normalize,
  predict,
  reference,
  sequential,
  tensor,
  wasm,
  type State,
} from '../../engine/index.ts';
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
    const mean = initState(normalize(data), null, 0)['mean']!;
    expect([...mean.data]).toEqual([0.5, 1.5]);
  });

  test('feeds, states and examples, on every backend', async () => {
    const model = sequential({ d: dense(2, 2) });
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
      expect([...trained.state['d.weight']!.data]).toEqual([0.5, 0, 0, 0.25]);
      await backend.close();
    }
  });
});
