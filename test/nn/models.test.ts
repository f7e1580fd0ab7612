import { describe, expect, test } from 'vitest';
import {
  activation,
  avgPool2d,
  batchNorm,
  bind,
  caffeFull,
  caffeQuick,
  celu,
  conv2d,
  conv2dTranspose,
  countParameters,
  dense,
  depthwiseConv2d,
  dropout,
  elu,
  embedding,
  f32,
  flatten,
  freeze,
  gelu,
  globalAvgPool2d,
  globalMaxPool2d,
  groupNorm,
  hardSigmoid,
  hardSwish,
  hardTanh,
  init,
  initState,
  instanceNorm,
  layerNorm,
  leakyRelu,
  lrn,
  maxPool2d,
  mlp,
  normal,
  normalize,
  ops,
  parallel,
  parameters,
  relu,
  residual,
  sequential,
  sigmoid,
  silu,
  softplus,
  tanh,
  tensor,
  upsample2d,
} from 'cyclegrad';
import { meanImage, synthetic } from 'cyclegrad/datasets';
import * as engine from 'cyclegrad';
import { input } from '../../engine/tensor.ts';
import { outputShape } from './run.ts';

const train = synthetic({ kind: 'images', n: 8 });
const mean = meanImage(train);

describe('names and counts', () => {
  test("the paper's network has 89,578 parameters, the quick one 145,578; statistics do not count", () => {
    expect(countParameters(caffeFull({ mean }))).toBe(89_578);
    expect(countParameters(caffeQuick({ mean }))).toBe(145_578);
    expect(countParameters(mlp([2, 16, 3]))).toBe(2 * 16 + 16 + 16 * 3 + 3);
    expect(countParameters(batchNorm(5))).toBe(10);
    expect(countParameters(batchNorm(5, { form: 'caffe' }))).toBe(0);
  });

  test("the design's model, written out, is caffeFull", () => {
    const norm = lrn({ region: 'within-channel', size: 3, alpha: 5e-5, beta: 0.75 });
    const model = sequential({
      input: normalize(meanImage(train)),
      conv1: conv2d(3, 32, 5, { init: normal(1e-4), bias: { lrMult: 2 } }),
      pool1: maxPool2d(3, 2, { ceil: true }),
      relu1: relu(),
      norm1: norm, // prettier-ignore
      conv2: conv2d(32, 32, 5, { init: normal(0.01), bias: { lrMult: 2 } }),
      relu2: relu(),
      pool2: avgPool2d(3, 2, { ceil: true }),
      norm2: norm, // prettier-ignore
      conv3: conv2d(32, 64, 5, { init: normal(0.01) }),
      relu3: relu(),
      pool3: avgPool2d(3, 2, { ceil: true }),
      flat: flatten(), // prettier-ignore
      fc: dense(1024, 10, { init: normal(0.01), decayMult: 250, bias: { lrMult: 2, decayMult: 0 } }),
    });
    const known = caffeFull({ mean });
    expect(model.config).toEqual(known.config);
    const plain = (layer: engine.Layer) =>
      Object.entries(layer.params).map(([name, spec]) => [name, { ...spec, init: null }]);
    expect(plain(model)).toEqual(plain(known));
    expect(initState(model, null, 1)).toEqual(initState(known, null, 1));
    expect(Object.keys(model.params)).toEqual([
      'input.mean',
      'conv1.weight',
      'conv1.bias',
      'conv2.weight',
      'conv2.bias',
      'conv3.weight',
      'conv3.bias',
      'fc.weight',
      'fc.bias', // prettier-ignore
    ]);
  });

  test('multipliers of the paper: biases twice the rate but for conv3, the classifier 250 times the decay', () => {
    const { params } = caffeFull({ mean });
    const of = (name: string) => [params[name].lrMult, params[name].decayMult];
    expect(of('conv1.bias')).toEqual([2, 1]);
    expect(of('conv3.bias')).toEqual([1, 1]);
    expect(of('fc.weight')).toEqual([1, 250]);
    expect(of('fc.bias')).toEqual([2, 0]);
    expect(params['input.mean'].frozen).toBe(true);
  });

  test('sizes go 32, 16, 8, 4 with ceil pooling', () => {
    expect(outputShape(caffeFull({ mean }), [2, 32, 32, 3])).toEqual([2, 10]);
    expect(outputShape(caffeQuick({ mean }), [1, 32, 32, 3])).toEqual([1, 10]);
  });

  test('plain names are layers, operations are in ops and methods', () => {
    const layers = { conv2d, maxPool2d, avgPool2d, batchNorm, dropout, relu, sigmoid, tanh };
    for (const [name, layer] of Object.entries(layers)) {
      expect(layer).not.toBe((ops as Readonly<Record<string, unknown>>)[name]);
    }
    expect(ops.relu(tensor([-1, 2])).shape).toEqual([2]);
    expect(tensor([-1, 2]).relu().shape).toEqual([2]);
    expect(engine.zeros([2]).shape).toEqual([2]);
    expect([...init.ones([2], engine.stream(0, ''))]).toEqual([1, 1]);
  });
});

describe('shapes', () => {
  test.each([
    ['conv2d keeps the size by default', conv2d(3, 7, 5), [2, 9, 6, 3], [2, 9, 6, 7]],
    ['conv2d with stride', conv2d(3, 7, 3, { stride: 2 }), [2, 9, 6, 3], [2, 5, 3, 7]],
    ['conv2d without padding', conv2d(3, 7, [3, 2], { padding: 'valid' }), [2, 9, 6, 3], [2, 7, 5, 7]],
    ['dense', dense(6, 4, { bias: false }), [3, 6], [3, 4]],
    ['maxPool2d, stride = kernel', maxPool2d(2), [1, 8, 6, 5], [1, 4, 3, 5]],
    ['maxPool2d rounding up', maxPool2d(3, 2, { ceil: true }), [1, 8, 8, 5], [1, 4, 4, 5]],
    ['avgPool2d with padding', avgPool2d(3, 2, { padding: 1 }), [1, 8, 8, 5], [1, 4, 4, 5]],
    ['conv2d with dilation', conv2d(3, 7, 3, { dilation: 2, padding: 'valid' }), [1, 9, 6, 3], [1, 5, 2, 7]],
    ['conv2d in groups', conv2d(4, 6, 3, { groups: 2 }), [1, 9, 6, 4], [1, 9, 6, 6]],
    ['depthwiseConv2d', depthwiseConv2d(3, 5, { multiplier: 2, stride: 2 }), [1, 9, 6, 3], [1, 5, 3, 6]],
    ['conv2dTranspose enlarges', conv2dTranspose(3, 7, 4, { stride: 2 }), [1, 5, 4, 3], [1, 10, 8, 7]],
    [
      'conv2dTranspose, valid',
      conv2dTranspose(3, 7, 3, { stride: 2, padding: 'valid', outputPadding: 1 }),
      [1, 5, 4, 3],
      [1, 12, 10, 7],
    ],
    ['globalAvgPool2d', globalAvgPool2d(), [2, 9, 6, 3], [2, 3]],
    ['globalMaxPool2d', globalMaxPool2d(), [2, 9, 6, 3], [2, 3]],
    ['upsample2d', upsample2d([2, 3], { mode: 'bilinear' }), [2, 4, 5, 3], [2, 8, 15, 3]],
    ['layerNorm', layerNorm([5, 3]), [2, 4, 5, 3], [2, 4, 5, 3]],
    ['groupNorm', groupNorm(2, 4), [2, 4, 5, 4], [2, 4, 5, 4]],
    ['instanceNorm', instanceNorm(3, { affine: false }), [2, 4, 5, 3], [2, 4, 5, 3]],
    ['lrn across channels', lrn({ region: 'across-channels', size: 4 }), [2, 4, 5, 3], [2, 4, 5, 3]],
    ['parallel', parallel({ a: conv2d(3, 4, 1), b: conv2d(3, 5, 3) }), [1, 4, 5, 3], [1, 4, 5, 9]],
    ['parallel rows', parallel({ a: flatten(), b: flatten() }, 0), [2, 4, 3], [4, 12]],
    ['gelu', gelu({ approximate: 'tanh' }), [3, 4], [3, 4]],
    ['silu', silu(), [3, 4], [3, 4]],
    ['softplus', softplus(), [3, 4], [3, 4]],
    ['leakyRelu', leakyRelu(0.1), [3, 4], [3, 4]],
    ['elu', elu(), [3, 4], [3, 4]],
    ['celu', celu(2), [3, 4], [3, 4]],
    ['hardSigmoid', hardSigmoid(), [3, 4], [3, 4]],
    ['hardSwish', hardSwish(), [3, 4], [3, 4]],
    ['hardTanh', hardTanh(), [3, 4], [3, 4]],
    ['flatten', flatten(), [3, 4, 5, 6], [3, 120]],
    ['activation', activation((x) => x.mul(x.sigmoid()), 'swish'), [3, 4], [3, 4]],
    ['residual', residual(conv2d(4, 4, 3)), [1, 5, 5, 4], [1, 5, 5, 4]],
    [
      'residual with shortcut',
      residual(conv2d(4, 6, 3, { stride: 2 }), conv2d(4, 6, 1, { stride: 2 })),
      [1, 5, 5, 4],
      [1, 3, 3, 6],
    ],
  ] as const)('%s', (_, layer, from, to) => {
    expect(outputShape(layer, from)).toEqual(to);
  });
});

describe('errors', () => {
  const fails = (layer: engine.Layer, shape: readonly number[]) => () => outputShape(layer, shape);

  test('begin with the path of the layer, once, and name both shapes', () => {
    const block = sequential({ conv1: conv2d(4, 8, 3), conv2: conv2d(4, 8, 3) });
    expect(fails(sequential({ block1: block }), [2, 5, 5, 4])).toThrow(
      /^block1\.conv2 \/ conv2d: input has 8 channels but weight expects 4: x \[2,5,5,8\], w f32 \[3,3,4,8\]$/,
    );
    expect(fails(sequential({ fc: dense(6, 2) }), [2, 3, 2])).toThrow(
      'fc / dense: expects [N, 6] but got f32 [2,3,2] (put flatten() before it)',
    );
    expect(fails(sequential({ a: residual(conv2d(4, 6, 1)) }), [1, 3, 3, 4])).toThrow(
      'a / residual: main gives f32 [1,3,3,6] but the shortcut gives f32 [1,3,3,4]',
    );
    expect(fails(sequential({ a: activation((x) => x.add(tensor([1, 2, 3]))) }), [1, 2])).toThrow(
      /^a \/ add: shapes \[1,2\] and \[3\] do not broadcast/,
    );
    expect(fails(sequential({ p: maxPool2d(9) }), [1, 3, 3, 4])).toThrow('p / maxPool2d: a window of 9×9');
  });

  test.each([
    [() => conv2d(0, 4, 3), 'conv2d: inputs must be an integer >= 1, got 0'],
    [() => conv2d(3, 4, 3, { pading: 1 } as never), "conv2d: unknown option 'pading' (known: init, lrMult"],
    [() => conv2d(3, 4, 3, { bias: { decay: 1 } as never }), "conv2d: bias: unknown option 'decay'"],
    [() => dense(3, 2, { lrMult: -1 }), 'dense: lrMult must be a number >= 0, got -1'],
    [() => dense(3, 2, { init: 0.01 as never }), 'dense: init must be an initialiser'],
    [() => batchNorm(3, { momentum: 0.1, form: 'caffe' }), "batchNorm (caffe): unknown option 'momentum'"],
    [() => batchNorm(3, { momentum: 2 }), 'batchNorm: momentum must be a number >= 0 and <= 1, got 2'],
    [() => lrn({ size: 4 }), 'lrn: size must be a positive odd integer, got 4'],
    [
      () => lrn({ region: 'across' as never }),
      "lrn: region must be 'within-channel' or 'across-channels', got 'across'",
    ],
    [
      () => conv2d(4, 6, 3, { groups: 4 }),
      'conv2d: groups must be a positive integer that divides 4 inputs and 6 outputs, got 4',
    ],
    [() => depthwiseConv2d(4, 3, { grups: 2 } as never), "conv2d: unknown option 'grups'"],
    [
      () => conv2dTranspose(4, 6, 3, { pad: 1 } as never),
      "conv2dTranspose: unknown option 'pad' (known: init,",
    ],
    [() => embedding(0, 3), 'embedding: count must be an integer >= 1, got 0'],
    [() => outputShape(embedding(5, 3), [2]), 'embedding: expects indices, i32 or u8, but got f32 [2]'],
    [() => gelu({ approx: 'tanh' } as never), "gelu: unknown option 'approx' (known: approximate)"],
    [() => outputShape(parallel({ a: conv2d(3, 4, 1), b: flatten() }), [1, 2, 2, 3]), 'concat: '],
    [() => upsample2d(0.5), 'upsample2d: factor must be an integer >= 1, got 0.5'],
    [() => groupNorm(3, 8), 'groupNorm: groups must be a positive integer that divides 8 channels, got 3'],
    [() => layerNorm(0), 'layerNorm: size must be an integer >= 1, got 0'],
    [() => instanceNorm(3, { epsilon: 0 }), 'instanceNorm: epsilon must be a number > 0, got 0'],
    [
      () => freeze(dense(2, 2), ['fc']),
      "freeze: there are no parameters under 'fc' (the layer has: weight, bias)",
    ],
    [() => freeze(dense(2, 2), 'weight' as never), "freeze: paths must be an array of paths, got 'weight'"],
    [
      () => parameters(dense(2, 2), 'w'),
      "parameters: there are none under 'w' (the model has: weight, bias)",
    ],
    [() => outputShape(layerNorm([4, 3]), [2, 3, 3]), 'layerNorm: expects [..., 4, 3] but got f32 [2,3,3]'],
    [() => outputShape(groupNorm(2, 4), [2, 3, 3]), 'groupNorm: expects [N, ..., 4] but got f32 [2,3,3]'],
    [() => dropout(1), 'dropout: rate must be a number >= 0 and < 1, got 1'],
    [() => normalize(0, { std: [1, 0] }), 'normalize: std must be positive, got 0 at element 1'],
    [() => normalize(0, { std: 1, scale: 1 }), 'normalize: std and scale are the same thing twice'],
    [() => sequential({ 'a.b': relu() }), "sequential: 'a.b' cannot name a layer"],
    [() => sequential({ 1: relu() }), "sequential: '1' cannot name a layer"],
    [() => mlp([3]), 'mlp: the number of sizes must be an integer >= 2, got 1'],
    [() => normal(-1), 'normal: std must be a number >= 0, got -1'],
    [() => init.uniform(1, 1), 'uniform: high must be a number above low, which is 1, got 1'],
    [
      () => init.xavier({ fan: 'both' as never }),
      "xavier: fan must be 'in' or 'out' or 'average', got 'both'",
    ],
    [
      () => initState(dense(2, 2, { init: init.given([1, 2, 3]) }), null, 0),
      'weight / given: [3] does not fill a parameter [2,2]',
    ],
  ])('options %#', (make, message) => {
    expect(make).toThrow(message);
  });

  test('bind says what the state lacks, what differs, and what dropout and augmentation need', () => {
    const model = sequential({ fc: dense(2, 3), drop: dropout(0.5) });
    const x = input('x', f32(4, 2));
    const weight = input('fc.weight', f32(2, 3), 'state');
    const bias = input('fc.bias', f32(3), 'state');
    expect(() => bind(model, {}, { training: true })).toThrow("bind: the state lacks 'fc.weight'");
    expect(() => bind(model, { 'fc.weight': bias, 'fc.bias': bias }, { training: true })).toThrow(
      "bind: 'fc.weight' is [2,3] in the model but f32 [3] in the state",
    );
    const state = { 'fc.weight': weight, 'fc.bias': bias };
    expect(() => bind(model, state, { training: true })(x)).toThrow('drop: needs the step');
    expect(bind(model, state, { training: false })(x).output.shape).toEqual([4, 3]);
    const draws = input('draws', { shape: [4, 3], dtype: 'i32' });
    expect(() => bind(model, state, { training: false, draws })(x)).toThrow(
      'bind: images are to be augmented but no layer does it (begin the model with normalize(...))',
    );
  });
});
