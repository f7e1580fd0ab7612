/**
 * The kernels of the reference backend: slow, obvious, and the specification of every operation, with its ties and
 * borders. Values are dense ndarrays; arithmetic is double precision, rounded on store in the f32 mode.
 */
import type { KernelTable } from '../../backend.ts';
import { attentionKernels } from './attention.ts';
import type { Call } from './call.ts';
import { elementwiseKernels } from './elementwise.ts';
import { gatherKernels } from './gather.ts';
import { imageKernels } from './images.ts';
import { layoutKernels } from './layout.ts';
import { lossKernels } from './loss.ts';
import { normKernels } from './norm.ts';
import { poolKernels } from './pool.ts';
import { productKernels } from './products.ts';
import { randomKernels } from './random.ts';
import { reduceKernels } from './reduce.ts';

export const kernels: KernelTable<Call> = {
  ...elementwiseKernels,
  ...layoutKernels,
  ...reduceKernels,
  ...gatherKernels,
  ...productKernels,
  ...attentionKernels,
  ...poolKernels,
  ...normKernels,
  ...imageKernels,
  ...lossKernels,
  ...randomKernels,
};
