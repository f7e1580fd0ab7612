import { describe, expect, test } from 'vitest';
import { meanImage, synthetic } from 'cyclegrad/datasets';
import * as operations from 'cyclegrad';
import { f32, tensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { input } from '../../engine/tensor.ts';
import { outputShape } from './run.ts';

const train = synthetic({ kind: 'images', n: 8 });
const mean = meanImage(train);

describe('names and counts', () => {
  test("the paper's network has 89,578 parameters, the quick one 145,578; statistics do not count", () => {
    expect(nn.countParameters(nn.caffeFull({ mean }))).toBe(89_578);
    expect(nn.countParameters(nn.caffeQuick({ mean }))).toBe(145_578);
    expect(nn.countParameters(nn.mlp([2, 16, 3]))).toBe(2 * 16 + 16 + 16 * 3 + 3);
    expect(nn.countParameters(nn.batchNorm(5))).toBe(10);
    expect(nn.countParameters(nn.batchNorm(5, { form: 'caffe' }))).toBe(0);
  });

  test("the design's model, written out, is caffeFull", () => {
    const norm = nn.lrn({ region: 'within-channel', size: 3, alpha: 5e-5, beta: 0.75 });
    const model = nn.sequential({
      input: nn.normalize(meanImage(train)),
      conv1: nn.conv2d(3, 32, 5, { padding: 'same', init: nn.init.normal(1e-4), bias: { lrMult: 2 } }),
      pool1: nn.maxPool2d(3, 2, { ceil: true }),
      relu1: nn.relu(),
      norm1: norm, // prettier-ignore
      conv2: nn.conv2d(32, 32, 5, { padding: 'same', init: nn.init.normal(0.01), bias: { lrMult: 2 } }),
      relu2: nn.relu(),
      pool2: nn.avgPool2d(3, 2, { ceil: true }),
      norm2: norm, // prettier-ignore
      conv3: nn.conv2d(32, 64, 5, { padding: 'same', init: nn.init.normal(0.01) }),
      relu3: nn.relu(),
      pool3: nn.avgPool2d(3, 2, { ceil: true }),
      flat: nn.flatten(), // prettier-ignore
      fc: nn.dense(1024, 10, {
        init: nn.init.normal(0.01),
        decayMult: 250,
        bias: { lrMult: 2, decayMult: 0 },
      }),
    });
    const known = nn.caffeFull({ mean });
    expect(model.config).toEqual(known.config);
    const plain = (layer: nn.Layer) =>
      Object.entries(layer.params).map(([name, spec]) => [name, { ...spec, init: null }]);
    expect(plain(model)).toEqual(plain(known));
    expect(nn.initState(model, null, 1)).toEqual(nn.initState(known, null, 1));
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
    const { params } = nn.caffeFull({ mean });
    const of = (name: string) => [params[name].lrMult, params[name].decayMult];
    expect(of('conv1.bias')).toEqual([2, 1]);
    expect(of('conv3.bias')).toEqual([1, 1]);
    expect(of('fc.weight')).toEqual([1, 250]);
    expect(of('fc.bias')).toEqual([2, 0]);
    expect(params['input.mean'].frozen).toBe(true);
  });

  test('sizes go 32, 16, 8, 4 with ceil pooling', () => {
    expect(outputShape(nn.caffeFull({ mean }), [2, 32, 32, 3])).toEqual([2, 10]);
    expect(outputShape(nn.caffeQuick({ mean }), [1, 32, 32, 3])).toEqual([1, 10]);
  });

  test('layers and operations that share a name are different functions of different entries', () => {
    const shared = Object.keys(nn).filter((name) => name in operations);
    expect(shared).toEqual(expect.arrayContaining(['conv2d', 'relu', 'dropout', 'batchNorm']));
    expect(operations.relu(tensor([-1, 2])).shape).toEqual([2]);
    expect(tensor([-1, 2]).relu().shape).toEqual([2]);
    expect(operations.zeros([2]).shape).toEqual([2]);
    expect([...nn.init.ones([2], operations.stream(0, ''))]).toEqual([1, 1]);
  });
});

describe('shapes', () => {
  test.each([
    ['conv2d is not padded by default', nn.conv2d(3, 7, 5), [2, 9, 6, 3], [2, 5, 2, 7]],
    ["padding 'same' keeps the size", nn.conv2d(3, 7, 5, { padding: 'same' }), [2, 9, 6, 3], [2, 9, 6, 7]],
    ['conv2d with stride', nn.conv2d(3, 7, 3, { padding: 'same', stride: 2 }), [2, 9, 6, 3], [2, 5, 3, 7]],
    ['conv2d without padding', nn.conv2d(3, 7, [3, 2], { padding: 'valid' }), [2, 9, 6, 3], [2, 7, 5, 7]],
    ['dense', nn.dense(6, 4, { bias: false }), [3, 6], [3, 4]],
    ['maxPool2d, stride = kernel', nn.maxPool2d(2), [1, 8, 6, 5], [1, 4, 3, 5]],
    ['maxPool2d rounding up', nn.maxPool2d(3, 2, { ceil: true }), [1, 8, 8, 5], [1, 4, 4, 5]],
    ['avgPool2d with padding', nn.avgPool2d(3, 2, { padding: 1 }), [1, 8, 8, 5], [1, 4, 4, 5]],
    [
      'conv2d with dilation',
      nn.conv2d(3, 7, 3, { dilation: 2, padding: 'valid' }),
      [1, 9, 6, 3],
      [1, 5, 2, 7],
    ],
    ['conv2d in groups', nn.conv2d(4, 6, 3, { padding: 'same', groups: 2 }), [1, 9, 6, 4], [1, 9, 6, 6]],
    [
      'depthwiseConv2d',
      nn.depthwiseConv2d(3, 5, { padding: 'same', multiplier: 2, stride: 2 }),
      [1, 9, 6, 3],
      [1, 5, 3, 6],
    ],
    [
      'conv2dTranspose enlarges',
      nn.conv2dTranspose(3, 7, 4, { padding: 'same', stride: 2 }),
      [1, 5, 4, 3],
      [1, 10, 8, 7],
    ],
    [
      'conv2dTranspose, valid',
      nn.conv2dTranspose(3, 7, 3, { stride: 2, padding: 'valid', outputPadding: 1 }),
      [1, 5, 4, 3],
      [1, 12, 10, 7],
    ],
    ['globalAvgPool2d', nn.globalAvgPool2d(), [2, 9, 6, 3], [2, 3]],
    ['globalMaxPool2d', nn.globalMaxPool2d(), [2, 9, 6, 3], [2, 3]],
    ['upsample2d', nn.upsample2d([2, 3], { mode: 'bilinear' }), [2, 4, 5, 3], [2, 8, 15, 3]],
    ['layerNorm', nn.layerNorm([5, 3]), [2, 4, 5, 3], [2, 4, 5, 3]],
    ['groupNorm', nn.groupNorm(2, 4), [2, 4, 5, 4], [2, 4, 5, 4]],
    ['instanceNorm', nn.instanceNorm(3, { affine: false }), [2, 4, 5, 3], [2, 4, 5, 3]],
    ['lrn across channels', nn.lrn({ region: 'across-channels', size: 4 }), [2, 4, 5, 3], [2, 4, 5, 3]],
    [
      'parallel',
      nn.branches({ a: nn.conv2d(3, 4, 1), b: nn.conv2d(3, 5, 3, { padding: 'same' }) }),
      [1, 4, 5, 3],
      [1, 4, 5, 9],
    ],
    ['parallel rows', nn.branches({ a: nn.flatten(), b: nn.flatten() }, 0), [2, 4, 3], [4, 12]],
    ['gelu', nn.gelu({ approximate: 'tanh' }), [3, 4], [3, 4]],
    ['silu', nn.silu(), [3, 4], [3, 4]],
    ['softplus', nn.softplus(), [3, 4], [3, 4]],
    ['leakyRelu', nn.leakyRelu(0.1), [3, 4], [3, 4]],
    ['elu', nn.elu(), [3, 4], [3, 4]],
    ['celu', nn.celu(2), [3, 4], [3, 4]],
    ['hardSigmoid', nn.hardSigmoid(), [3, 4], [3, 4]],
    ['hardSwish', nn.hardSwish(), [3, 4], [3, 4]],
    ['hardTanh', nn.hardTanh(), [3, 4], [3, 4]],
    ['flatten', nn.flatten(), [3, 4, 5, 6], [3, 120]],
    ['flatten no images', nn.flatten(), [0, 4, 5], [0, 20]],
    ['activation', nn.activation((x) => x.mul(x.sigmoid()), 'swish'), [3, 4], [3, 4]],
    ['residual', nn.residual(nn.conv2d(4, 4, 3, { padding: 'same' })), [1, 5, 5, 4], [1, 5, 5, 4]],
    [
      'residual with shortcut',
      nn.residual(nn.conv2d(4, 6, 3, { padding: 'same', stride: 2 }), nn.conv2d(4, 6, 1, { stride: 2 })),
      [1, 5, 5, 4],
      [1, 3, 3, 6],
    ],
  ] as const)('%s', (_, layer, from, to) => {
    expect(outputShape(layer, from)).toEqual(to);
  });
});

describe('errors', () => {
  const fails = (layer: nn.Layer, shape: readonly number[]) => () => outputShape(layer, shape);

  test('begin with the path of the layer, once, and name both shapes', () => {
    const block = nn.sequential({
      conv1: nn.conv2d(4, 8, 3, { padding: 'same' }),
      conv2: nn.conv2d(4, 8, 3, { padding: 'same' }),
    });
    expect(fails(nn.sequential({ block1: block }), [2, 5, 5, 4])).toThrow(
      /^block1\.conv2 \/ conv2d: input has 8 channels but weight expects 4: x \[2,5,5,8\], w f32 \[3,3,4,8\]$/,
    );
    expect(fails(nn.sequential({ fc: nn.dense(6, 2) }), [2, 3, 1, 2])).toThrow(
      'fc / dense: expects [N, ..., 6] but got f32 [2,3,1,2] (put nn.flatten() before it)',
    );
    expect(fails(nn.sequential({ a: nn.residual(nn.conv2d(4, 6, 1)) }), [1, 3, 3, 4])).toThrow(
      'a / residual: main gives f32 [1,3,3,6] but the shortcut gives f32 [1,3,3,4]',
    );
    expect(fails(nn.sequential({ a: nn.activation((x) => x.add(tensor([1, 2, 3]))) }), [1, 2])).toThrow(
      /^a \/ add: shapes \[1,2\] and \[3\] do not broadcast/,
    );
    expect(fails(nn.sequential({ p: nn.maxPool2d(9) }), [1, 3, 3, 4])).toThrow(
      'p / maxPool2d: a window of 9×9',
    );
  });

  test.each([
    [() => nn.conv2d(0, 4, 3, { padding: 'same' }), 'conv2d: inputs must be an integer >= 1, got 0'],
    [
      () => nn.conv2d(3, 4, 3, { pading: 1 } as never),
      "conv2d: unknown option 'pading' (did you mean 'padding'? known: init, lrMult",
    ],
    [
      () => nn.conv2d(3, 4, 3, { padding: 'same', bias: { decay: 1 } as never }),
      "conv2d: bias: unknown option 'decay'",
    ],
    [() => nn.dense(3, 2, { lrMult: -1 }), 'dense: lrMult must be a number >= 0, got -1'],
    [() => nn.dense(3, 2, { init: 0.01 as never }), 'dense: init must be an initializer'],
    [() => nn.batchNorm(3, { momentum: 0.1, form: 'caffe' }), "batchNorm (caffe): unknown option 'momentum'"],
    [() => nn.batchNorm(3, { momentum: 2 }), 'batchNorm: momentum must be a number >= 0 and <= 1, got 2'],
    [() => nn.lrn({ size: 4 }), 'lrn: size must be a positive odd integer, got 4'],
    [
      () => nn.lrn({ region: 'across' as never }),
      "lrn: region must be 'within-channel' or 'across-channels', got 'across'",
    ],
    [
      () => nn.conv2d(4, 6, 3, { padding: 'same', groups: 4 }),
      'conv2d: groups must be a positive integer that divides 4 inputs and 6 outputs, got 4',
    ],
    [
      () => nn.depthwiseConv2d(4, 3, { grups: 2 } as never),
      "depthwiseConv2d: unknown option 'grups' (known: init,",
    ],
    [
      () => nn.conv2dTranspose(4, 6, 3, { pad: 1 } as never),
      "conv2dTranspose: unknown option 'pad' (known: init,",
    ],
    [() => nn.depthwiseConv2d(4, 3, { groups: 2 } as never), "depthwiseConv2d: unknown option 'groups'"],
    [() => outputShape(nn.flatten(), []), 'flatten: expects [N, ...] but got f32 []'],
    [() => nn.embedding(0, 3), 'embedding: count must be an integer >= 1, got 0'],
    [() => outputShape(nn.embedding(5, 3), [2]), 'embedding: expects indices, i32 or u8, but got f32 [2]'],
    [() => nn.gelu({ approx: 'tanh' } as never), "gelu: unknown option 'approx' (known: approximate)"],
    [() => outputShape(nn.branches({ a: nn.conv2d(3, 4, 1), b: nn.flatten() }), [1, 2, 2, 3]), 'concat: '],
    [() => nn.upsample2d(0.5), 'upsample2d: factor must be an integer >= 1, got 0.5'],
    [() => nn.groupNorm(3, 8), 'groupNorm: groups must be a positive integer that divides 8 channels, got 3'],
    [() => nn.layerNorm(0), 'layerNorm: size must be an integer >= 1, got 0'],
    [() => nn.instanceNorm(3, { epsilon: 0 }), 'instanceNorm: epsilon must be a number > 0, got 0'],
    [
      () => nn.freeze(nn.dense(2, 2), ['fc']),
      "freeze: no parameters under 'fc' (the layer has: weight, bias)",
    ],
    [
      () => nn.freeze(nn.dense(2, 2), 'weight' as never),
      "freeze: paths must be an array of paths, got 'weight'",
    ],
    [
      () => nn.parameters(nn.dense(2, 2), 'w'),
      "parameters: no parameters under 'w' (the model has: weight, bias)",
    ],
    [
      () => outputShape(nn.layerNorm([4, 3]), [2, 3, 3]),
      'layerNorm: expects [..., 4, 3] but got f32 [2,3,3]',
    ],
    [() => outputShape(nn.groupNorm(2, 4), [2, 3, 3]), 'groupNorm: expects [N, ..., 4] but got f32 [2,3,3]'],
    [() => nn.dropout(1), 'dropout: rate must be a number >= 0 and < 1, got 1'],
    [() => nn.normalize(0, { std: [1, 0] }), 'normalize: std must be positive, got 0 at element 1'],
    [() => nn.normalize(0, { std: 1, scale: 1 }), 'normalize: got both std and scale'],
    [() => nn.sequential({ 'a.b': nn.relu() }), "sequential: 'a.b' cannot name a layer"],
    [() => nn.sequential({ 1: nn.relu() }), "sequential: '1' cannot name a layer"],
    [() => nn.mlp([3]), 'mlp: the number of sizes must be an integer >= 2, got 1'],
    [() => nn.init.normal(-1), 'normal: std must be a number >= 0, got -1'],
    [() => nn.init.uniform(1, 1), 'uniform: high must be a number above low, which is 1, got 1'],
    [
      () => nn.init.xavier({ fan: 'both' as never }),
      "xavier: fan must be 'in' or 'out' or 'average', got 'both'",
    ],
    [
      () => nn.initState(nn.dense(2, 2, { init: nn.init.fromArray([1, 2, 3]) }), null, 0),
      'weight / fromArray: [3] does not fill a parameter [2,2]',
    ],
  ])('options %#', (make, message) => {
    expect(make).toThrow(message);
  });

  test('bind says what the state lacks, what differs, and what dropout and augmentation need', () => {
    const model = nn.sequential({ fc: nn.dense(2, 3), drop: nn.dropout(0.5) });
    const x = input('x', f32(4, 2));
    const weight = input('fc.weight', f32(2, 3), 'state');
    const bias = input('fc.bias', f32(3), 'state');
    expect(() => nn.bind(model, {}, { training: true })).toThrow("bind: the state has no 'fc.weight'");
    expect(() => nn.bind(model, { 'fc.weight': bias, 'fc.bias': bias }, { training: true })).toThrow(
      "bind: 'fc.weight' is [2,3] in the model but f32 [3] in the state",
    );
    const state = { 'fc.weight': weight, 'fc.bias': bias };
    expect(() => nn.bind(model, state, { training: true })(x)).toThrow(
      'drop: needs the step (pass it to bind: { training, step })',
    );
    expect(nn.bind(model, state, { training: false })(x).output.shape).toEqual([4, 3]);
    const draws = input('draws', { shape: [4, 3], dtype: 'i32' });
    expect(() => nn.bind(model, state, { training: false, augmentation: draws })(x)).toThrow(
      'bind: got an augmentation, but no layer applies it (begin the model with nn.normalize(...))',
    );
  });
});
