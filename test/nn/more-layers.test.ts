// PReLU, channel dropout, sequences, grids, shuffles and mirrored borders as layers.
import { describe, expect, test } from 'vitest';
import * as c from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { f64, outputShape, runLayer, values } from './run.ts';

const ramp = (shape: readonly number[]) =>
  f64(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1),
  );

describe('values', () => {
  test('prelu starts at 0.25, with one slope or one for each channel', async () => {
    const x = f64([1, 2], [-4, 8]);
    expect(values((await runLayer(nn.prelu(), [x])).outputs[0])).toEqual([-1, 8]);
    const { outputs, state } = await runLayer(nn.prelu(2, { init: nn.init.fromArray([0.5, 3]) }), [x]);
    expect(values(outputs[0])).toEqual([-2, 8]);
    expect(state['weight'].shape).toEqual([2]);
  });

  test('prelu trains its slope', async () => {
    const model = nn.sequential({ act: nn.prelu() });
    const data = c.tensor([[-1, 2]]);
    const slope = c.tensor([0.25]);
    const { output } = nn.bind(model, { 'act.weight': slope }, { training: true })(data);
    const [g] = c.grad(c.sum(output), [slope]);
    expect(await g.array()).toEqual([-1]);
  });

  test('dropout2d drops whole channels, in training alone', async () => {
    const x = f64(
      [8, 2, 3, 16],
      Array.from({ length: 8 * 6 * 16 }, () => 1),
    );
    const layer = nn.dropout2d(0.25);
    const { outputs } = await runLayer(layer, [x, x], { training: true });
    const got = values(outputs[0]);
    const mask = got.slice(0, 16);
    expect(new Set(mask.map((value) => value.toFixed(4)))).toEqual(new Set(['0.0000', '1.3333']));
    for (let pixel = 0; pixel < 6; pixel++) expect(got.slice(pixel * 16, (pixel + 1) * 16)).toEqual(mask);
    expect(got.slice(96, 112)).not.toEqual(mask);
    expect(outputs[1].data).not.toEqual(outputs[0].data);
    expect((await runLayer(layer, [x])).outputs[0].data).toEqual(x.data);
  });

  test.each([
    ['zeros', [0, 1, 2]],
    ['reflect', [2, 1, 2]],
    ['edge', [1, 1, 2]],
  ] as const)('a convolution sees the border of padding mode %s', async (paddingMode, moved) => {
    // A kernel with one tap moves the image to the right.
    const layer = nn.conv2d(1, 1, [1, 3], {
      padding: [0, 1],
      paddingMode,
      bias: false,
      init: nn.init.fromArray([1, 0, 0]),
    });
    const { outputs } = await runLayer(layer, [f64([1, 1, 3, 1], [1, 2, 3])]);
    expect(values(outputs[0])).toEqual(moved);
  });

  test('padding of mirrored borders depends on kernel, stride and dilation as zeros do', () => {
    const options = { padding: 'same', stride: 2, dilation: 2 } as const;
    const zeros = outputShape(nn.conv2d(3, 4, 3, options), [1, 9, 8, 3]);
    expect(outputShape(nn.conv2d(3, 4, 3, { ...options, paddingMode: 'reflect' }), [1, 9, 8, 3])).toEqual(
      zeros,
    );
    const depthwise = nn.depthwiseConv2d(3, 3, { padding: 1, paddingMode: 'edge' });
    expect(outputShape(depthwise, [1, 1, 1, 3])).toEqual([1, 1, 1, 3]);
  });

  test('conv1d adds its bias', async () => {
    const layer = nn.conv1d(1, 1, 2, { init: nn.init.ones, bias: { init: nn.init.constant(10) } });
    expect(values((await runLayer(layer, [ramp([1, 4, 1])])).outputs[0])).toEqual([13, 15, 17]);
  });
});

describe('shapes', () => {
  test.each<readonly [string, nn.Layer, readonly number[], readonly number[]]>([
    ['conv1d', nn.conv1d(3, 8, 5, { stride: 2, padding: 2 }), [2, 16, 3], [2, 8, 8]],
    ['conv1d, same', nn.conv1d(4, 6, 3, { padding: 'same', groups: 2 }), [2, 9, 4], [2, 9, 6]],
    ['maxPool1d', nn.maxPool1d(3, 2, { padding: 1 }), [2, 9, 4], [2, 5, 4]],
    ['avgPool1d', nn.avgPool1d(2), [2, 9, 4], [2, 4, 4]],
    ['adaptiveAvgPool2d', nn.adaptiveAvgPool2d(7), [2, 9, 30, 4], [2, 7, 7, 4]],
    ['adaptiveMaxPool2d', nn.adaptiveMaxPool2d([4, 2]), [2, 9, 30, 4], [2, 4, 2, 4]],
    ['pixelShuffle', nn.pixelShuffle(2), [1, 3, 4, 12], [1, 6, 8, 3]],
    ['pixelUnshuffle', nn.pixelUnshuffle(2), [1, 6, 8, 3], [1, 3, 4, 12]],
    ['upsample2d, bicubic', nn.upsample2d(2, { mode: 'bicubic' }), [1, 3, 4, 2], [1, 6, 8, 2]],
    ['selu', nn.selu(), [3, 4], [3, 4]],
    ['mish', nn.mish(), [3, 4], [3, 4]],
  ])('%s', (_, layer, before, after) => {
    expect(outputShape(layer, before)).toEqual(after);
  });
});

describe('descriptions', () => {
  test('a padding mode is part of the config, and zeros are not', () => {
    expect(nn.conv2d(3, 4, 3, { paddingMode: 'zeros' }).config).toEqual(nn.conv2d(3, 4, 3).config);
    expect(nn.conv2d(3, 4, 3, { paddingMode: 'edge' }).config).toMatchObject({ paddingMode: 'edge' });
  });
});

describe('messages', () => {
  const image = c.zeros([1, 3, 3, 2]);
  test.each<readonly [() => unknown, string]>([
    [() => nn.prelu(0), 'prelu: channels must be an integer >= 1, got 0'],
    [() => nn.prelu(2, { slope: 1 } as object), "prelu: unknown option 'slope'"],
    [() => c.prelu(image, [1, 2, 3]), 'prelu: shapes [1,3,3,2] and [3]'],
    [() => c.prelu([1, 2], [[1], [2]]), 'prelu: slope f32 [2,1] does not broadcast to x f32 [2]'],
    [() => nn.dropout2d(1), 'dropout2d: rate must be a number >= 0 and < 1, got 1'],
    [
      () => c.dropout2d([1, 2], 0.5, c.key(1, 'x'), 0),
      'dropout2d: expects images [N, H, W, C] but got f32 [2]',
    ],
    [
      () => nn.conv2d(3, 4, 3, { paddingMode: 'replicate' as 'edge' }),
      "conv2d: paddingMode must be 'zeros' or 'reflect' or 'edge', got 'replicate'",
    ],
    [
      () => outputShape(nn.conv2d(2, 4, 5, { padding: 3, paddingMode: 'reflect' }), [1, 3, 3, 2]),
      "pad: mode 'reflect' allows at most 2 on each side of axis 1 of f32 [1,3,3,2], got [3,3]",
    ],
    [() => nn.conv2dTranspose(3, 4, 3, { paddingMode: 'edge' } as object), "unknown option 'paddingMode'"],
    [() => nn.conv1d(3, 4, 0), 'conv1d: kernel must be an integer >= 1, got 0'],
    [() => c.conv1d(image, image), 'conv1d: expects sequences [N, L, C] but got f32 [1,3,3,2]'],
    [
      () => c.conv1d(c.zeros([1, 5, 2]), c.zeros([3, 4, 6])),
      'conv1d: input has 2 channels but weight expects 4',
    ],
    [() => c.conv1d(c.zeros([1, 2, 1]), c.zeros([3, 1, 1])), 'conv1d: a window of 1×3 does not fit'],
    [() => c.maxPool1d(c.zeros([1, 2, 1]), 3), 'maxPool1d: a window of 1×3 does not fit'],
    [
      () => c.avgPool1d(c.zeros([1, 2, 1]), 2, { divisor: 'all' as 'inside' }),
      "avgPool1d: divisor must be 'clipped' or 'inside', got 'all'",
    ],
    [() => nn.maxPool1d(2, { padding: 1 } as never), 'maxPool1d: stride must be an integer'],
    [() => nn.adaptiveAvgPool2d(0), 'adaptiveAvgPool2d: size must be an integer >= 1, got 0'],
    [
      () => c.adaptiveMaxPool2d(image, [1, 0.5]),
      'adaptiveMaxPool2d: size must be positive integers, got [1,0.5]',
    ],
    [
      () => c.pixelShuffle(image, 2),
      'pixelShuffle: the channels of f32 [1,3,3,2] must be a multiple of factor² = 4, got 2',
    ],
    [
      () => c.pixelUnshuffle(image, 2),
      'pixelUnshuffle: height and width of f32 [1,3,3,2] must be multiples of the factor 2, got 3 and 3',
    ],
    [() => nn.pixelShuffle(1.5), 'pixelShuffle: factor must be an integer >= 1, got 1.5'],
  ])('%s', (call, message) => {
    expect(call).toThrow(message);
  });
});
