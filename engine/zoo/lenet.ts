/** LeNet-5. */
import * as nn from '../nn/index.ts';
import { checkOptions } from '../options.ts';
import { MODEL, checkModel, input, type ModelOptions } from './parts.ts';

/**
 * LeNet-5 in today's form: every map of the second convolution sees all maps of the first, and ReLU and maximum pooling take the
 * place of tanh and trained averages. With 10 classes and 1 channel it has 61,706 parameters.
 *
 * Shapes: images x [N, 28, 28, channels] -> logits [N, classes]. `channels` is 1 by default.
 * Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(lenet5({ classes: 10 })) // 61706
 */
export function lenet5(options: ModelOptions): nn.Layer {
  checkOptions('lenet5', options, MODEL);
  checkModel('lenet5', options);
  const { classes, channels = 1 } = options;
  return nn.sequential({
    ...input(options),
    conv1: nn.conv2d(channels, 6, 5, { padding: 2 }),
    relu1: nn.relu(),
    pool1: nn.maxPool2d(2),
    conv2: nn.conv2d(6, 16, 5),
    relu2: nn.relu(),
    pool2: nn.maxPool2d(2),
    flat: nn.flatten(),
    fc1: nn.dense(16 * 5 * 5, 120),
    relu3: nn.relu(),
    fc2: nn.dense(120, 84),
    relu4: nn.relu(),
    fc3: nn.dense(84, classes),
  });
}
