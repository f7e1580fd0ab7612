/** The table of lowerings to gpu.js's language: every operation, and the fusions that have kernels of their own. */
import type { Step } from '../../plan/plan.ts';
import type { FusedTable, KernelTable } from '../backend.ts';
import { fusionsOf, kernelOf } from '../kernel-table.ts';
import { attentionKernels } from './kernels/attention.ts';
import { elementwiseKernels } from './kernels/elementwise.ts';
import { imageKernels } from './kernels/images.ts';
import { layoutKernels } from './kernels/layout.ts';
import { lossKernels } from './kernels/loss.ts';
import { normKernels } from './kernels/norm.ts';
import { orderKernels } from './kernels/order.ts';
import { poolKernels } from './kernels/pool.ts';
import { productKernels } from './kernels/products.ts';
import { randomKernels } from './kernels/random.ts';
import { reduceKernels } from './kernels/reduce.ts';
import type { LoweringContext } from './lowering.ts';

const lowerings: KernelTable<LoweringContext> & Partial<FusedTable<LoweringContext>> = {
  ...elementwiseKernels,
  ...layoutKernels,
  ...reduceKernels,
  ...orderKernels,
  ...productKernels,
  ...attentionKernels,
  ...poolKernels,
  ...normKernels,
  ...imageKernels,
  ...lossKernels,
  ...randomKernels,
};

/** The fusions that have kernels. */
export const fusions = fusionsOf(lowerings);

/** The lowering of an operation or fusion. */
export const loweringOf = (op: Step['op']) => kernelOf<LoweringContext>('gpu', lowerings, op);
