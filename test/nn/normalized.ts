import * as nn from 'cyclegrad/nn';

/** Every kind of convolution before a batch normalization, with and without a bias. */
export const normalized = nn.sequential({
  conv: nn.conv2d(3, 8, 3, { padding: 'same', bias: false }),
  norm: nn.batchNorm(8),
  relu: nn.relu(),
  strided: nn.conv2d(8, 8, 3, { stride: 2 }),
  norm2: nn.batchNorm(8),
  depthwise: nn.conv2d(8, 8, 3, { padding: 'same', groups: 8 }),
  norm3: nn.batchNorm(8, { form: 'caffe' }),
  relu3: nn.relu(),
  pool: nn.globalAvgPool2d(),
  dense: nn.dense(8, 6),
  norm4: nn.batchNorm(6, { affine: false }),
  out: nn.dense(6, 4),
});
