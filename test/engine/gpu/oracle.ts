/** Random inputs for single kernels, and what the reference kernels make of them. */
import ndarray from 'ndarray';
import { kernelOf } from '../../../engine/backends/kernel-table.ts';
import type { Call, Nd } from '../../../engine/backends/reference/kernels/call.ts';
import { kernels } from '../../../engine/backends/reference/kernels/index.ts';
import type { Attrs } from '../../../engine/op.ts';
import { stream } from '../../../engine/rng.ts';
import { sizeOf } from '../../../engine/shape.ts';
import type { HostTensor, Shape } from '../../../engine/types.ts';

/** Numbers of [-1, 1), the same for the same name and shape. */
export function random(name: string, shape: Shape): HostTensor {
  const draws = stream(11, name);
  return {
    shape,
    dtype: 'f32',
    data: Float32Array.from({ length: sizeOf(shape) }, () => 2 * draws.uniform() - 1),
  };
}

const view = ({ shape, data }: HostTensor): Nd => ndarray(data, [...shape]);

export type ProductOp = 'matmul' | 'conv2d' | 'conv2dGradInput' | 'conv2dGradWeight';

/** The result of the reference kernel. */
export function expected(
  op: ProductOp,
  inputs: readonly HostTensor[],
  attrs: Attrs,
  shape: Shape,
): HostTensor {
  const output: HostTensor = { shape, dtype: 'f32', data: new Float32Array(sizeOf(shape)) };
  const kernel = kernelOf<Call>('reference', kernels, op);
  kernel({ inputs: inputs.map(view), outputs: [view(output)], results: [output], attrs, path: '' });
  return output;
}
