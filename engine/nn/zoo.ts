/** Known models, with the layers and hyperparameters of their sources. */
import { checkHostTensor } from '../host.ts';
import { checkInteger, checkOptions, show } from '../options.ts';
import type { HostTensor } from '../types.ts';
import { relu, sigmoid } from './activation.ts';
import { sequential } from './compose.ts';
import { normal } from './initializers.ts';
import type { Layer } from './layer.ts';
import { conv2d, dense } from './linear.ts';
import { batchNorm, lrn, normalize } from './norm.ts';
import { avgPool2d, flatten, maxPool2d } from './pool.ts';

export interface CaffeOptions {
  /** Mean image [32, 32, 3] in units of 0 … 255: `meanImage(train)`. */
  readonly mean: HostTensor;
}

const fast = { lrMult: 2 };
const same = { padding: 'same' } as const;

/**
 * Caffe's `cifar10_full`, the network of Table 1 of the cyclical-learning-rate paper. It has 89,578 parameters.
 *
 * The source trains it with momentum 0.9, weight decay 0.004 (250 times as much for the classifier) and batches of 100.
 *
 * Shapes: images x `u8` [N, 32, 32, 3] -> logits `f32` [N, 10].
 * Source: Caffe, examples/cifar10/cifar10_full_train_test.prototxt.
 * Throws TypeError for an unknown option.
 *
 * @example nn.countParameters(nn.caffeFull({ mean: meanImage(train) })) // 89578
 */
export function caffeFull(options: CaffeOptions): Layer {
  checkOptions('caffeFull', options, ['mean']);
  checkHostTensor('caffeFull: mean', options.mean);
  const norm = lrn({ region: 'within-channel', size: 3, alpha: 5e-5, beta: 0.75 });
  return sequential({
    input: normalize(options.mean),
    conv1: conv2d(3, 32, 5, { ...same, init: normal(1e-4), bias: fast }),
    pool1: maxPool2d(3, 2, { ceil: true }),
    relu1: relu(),
    norm1: norm,
    conv2: conv2d(32, 32, 5, { ...same, init: normal(0.01), bias: fast }),
    relu2: relu(),
    pool2: avgPool2d(3, 2, { ceil: true }),
    norm2: norm,
    conv3: conv2d(32, 64, 5, { ...same, init: normal(0.01) }), // the source does not double the rate of this bias
    relu3: relu(),
    pool3: avgPool2d(3, 2, { ceil: true }),
    flat: flatten(),
    fc: dense(1024, 10, { init: normal(0.01), decayMult: 250, bias: { lrMult: 2, decayMult: 0 } }),
  });
}

/**
 * Caffe's `cifar10_quick`. It has 145,578 parameters.
 *
 * It reaches an accuracy of about 75 % in 5,000 steps: 4,000 with learning rate 0.001 and 1,000 with 0.0001.
 *
 * Shapes: images x `u8` [N, 32, 32, 3] -> logits `f32` [N, 10].
 * Source: Caffe, examples/cifar10/cifar10_quick_train_test.prototxt.
 * Throws TypeError for an unknown option.
 *
 * @example nn.countParameters(nn.caffeQuick({ mean: meanImage(train) })) // 145578
 */
export function caffeQuick(options: CaffeOptions): Layer {
  checkOptions('caffeQuick', options, ['mean']);
  checkHostTensor('caffeQuick: mean', options.mean);
  return sequential({
    input: normalize(options.mean),
    conv1: conv2d(3, 32, 5, { ...same, init: normal(1e-4), bias: fast }),
    pool1: maxPool2d(3, 2, { ceil: true }),
    relu1: relu(),
    conv2: conv2d(32, 32, 5, { ...same, init: normal(0.01), bias: fast }),
    relu2: relu(),
    pool2: avgPool2d(3, 2, { ceil: true }),
    conv3: conv2d(32, 64, 5, { ...same, init: normal(0.01), bias: fast }),
    relu3: relu(),
    pool3: avgPool2d(3, 2, { ceil: true }),
    flat: flatten(),
    fc1: dense(1024, 64, { init: normal(0.1), bias: fast }),
    fc2: dense(64, 10, { init: normal(0.1), bias: fast }),
  });
}

/**
 * Caffe's `cifar10_full_sigmoid_bn`, the network of Figure 6 of the cyclical-learning-rate paper: sigmoids after batch
 * normalization, convolutions without bias, and no local response normalization.
 *
 * The source trains it with momentum 0.9, no weight decay and batches of 100.
 *
 * Shapes: images x `u8` [N, 32, 32, 3] -> logits `f32` [N, 10].
 * Source: Caffe, examples/cifar10/cifar10_full_sigmoid_train_test_bn.prototxt.
 * Throws TypeError for an unknown option.
 *
 * @example nn.countParameters(nn.caffeSigmoidBn({ mean: meanImage(train) })) // 89450
 */
export function caffeSigmoidBn(options: CaffeOptions): Layer {
  checkOptions('caffeSigmoidBn', options, ['mean']);
  checkHostTensor('caffeSigmoidBn: mean', options.mean);
  const plain = { bias: false } as const;
  return sequential({
    input: normalize(options.mean),
    conv1: conv2d(3, 32, 5, { ...same, init: normal(1e-4), ...plain }),
    pool1: maxPool2d(3, 2, { ceil: true }),
    bn1: batchNorm(32, { form: 'caffe' }),
    sigmoid1: sigmoid(),
    conv2: conv2d(32, 32, 5, { ...same, init: normal(0.01), ...plain }),
    bn2: batchNorm(32, { form: 'caffe' }),
    sigmoid2: sigmoid(),
    pool2: avgPool2d(3, 2, { ceil: true }),
    conv3: conv2d(32, 64, 5, { ...same, init: normal(0.01), ...plain }),
    bn3: batchNorm(64, { form: 'caffe' }),
    sigmoid3: sigmoid(),
    pool3: avgPool2d(3, 2, { ceil: true }),
    flat: flatten(),
    fc: dense(1024, 10, { init: normal(0.01) }),
  });
}

/**
 * Multilayer perceptron: dense layers of the given sizes with ReLU between them, named `fc1`, `relu1`, `fc2`, … Weights
 * have He initialization.
 *
 * Shapes: x `f32` [N, sizes[0]] -> [N, last size].
 * Throws RangeError for fewer than two sizes, or a size that is not a positive integer.
 *
 * @example nn.countParameters(nn.mlp([2, 32, 3])) // 195
 */
export function mlp(sizes: readonly number[]): Layer {
  if (!Array.isArray(sizes))
    throw new TypeError(`mlp: sizes must be an array, got ${show(sizes)} (write mlp([784, 128, 10]))`);
  checkInteger('mlp', 'the number of sizes', sizes.length, 2);
  const layers: Record<string, Layer> = {};
  for (let i = 1; i < sizes.length; i++) {
    layers[`fc${i}`] = dense(sizes[i - 1], sizes[i]);
    if (i < sizes.length - 1) layers[`relu${i}`] = relu();
  }
  return sequential(layers);
}
