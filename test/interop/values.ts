/** Inputs and weights of the comparisons with other libraries. */
import type { DType, HostTensor, Shape, State } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { expect } from 'vitest';

/** Largest difference of outputs, relative to the largest output. Single precision, summed in other orders over up to 121 layers. */
export const TOLERANCE = 2e-5;

export function waves(shape: Shape, dtype: DType = 'f32'): HostTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Array.from({ length: size }, (_, i) => Math.sin(i * i));
  return dtype === 'u8'
    ? { shape, dtype, data: Uint8Array.from(values, (x) => 127 * (x + 1)) }
    : { shape, dtype: 'f32', data: Float32Array.from(values) };
}

/** The largest difference of two arrays of one shape, relative to the largest value. */
export function difference(a: HostTensor, b: Pick<HostTensor, 'shape' | 'data'>): number {
  expect([...b.shape]).toEqual([...a.shape]);
  const largest = Math.max(...a.data.map(Math.abs));
  return Math.max(...a.data.map((x, i) => Math.abs(x - b.data[i]))) / largest;
}

/**
 * Values that leave no parameter out of the outputs: gamma, beta, statistics and scales are not 0 or 1. Gamma is about 6 in models with
 * ReLU6, so activations exceed its bound. In others it would amplify rounding errors from layer to layer.
 */
export function mixed(model: nn.Layer): State {
  const state = nn.initState(model, null, 3);
  const gamma = JSON.stringify(model.config).includes('"relu6"') ? 6 : 1;
  return Object.fromEntries(
    Object.entries(state).map(([name, { shape, data }]) => {
      const isWeight = name.endsWith('weight');
      const center = name.endsWith('gamma') ? gamma : 1;
      const values = isWeight ? Float32Array.from(data) : data.map((_, i) => center + Math.sin(i * i) / 2);
      return [name, { shape, dtype: 'f32', data: values }];
    }),
  );
}
