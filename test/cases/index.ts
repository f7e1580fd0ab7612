/**
 * The table of cases: at least one for every operation and for every public function made of operations. A missing
 * operation is a type error here, and an operation that its cases do not use is a failure of cases.test.ts.
 */
import type * as everything from '../../engine/ops/index.ts';
import type { OpName } from '../../engine/ops/primitives/index.ts';
import type { Case } from './case.ts';
import { activations } from './activation.ts';
import { attentions } from './attention.ts';
import { composite, custom } from './composite.ts';
import { conv, transpose } from './conv.ts';
import { compositeRandom, data } from './data.ts';
import { compositeElementwise, elementwise } from './elementwise.ts';
import { along, compositeGathering, gathering } from './gather.ts';
import { compositeLayout, layout } from './layout.ts';
import { images } from './images.ts';
import { groups, inference, norm } from './norm.ts';
import { loss, losses } from './loss.ts';
import { compositeMatmul, matmul } from './matmul.ts';
import { globals, pool } from './pool.ts';
import { compositeReduce, means, reduce } from './reduce.ts';
import { resize } from './resize.ts';
import { statistics } from './statistics.ts';
import { trigonometry } from './trigonometry.ts';
import { warp } from './warp.ts';

export * from './case.ts';

/** Cases of each primitive operation. */
export const primitive: { readonly [N in OpName]: readonly Case[] } = {
  ...elementwise,
  ...layout,
  ...reduce,
  ...gathering,
  ...matmul,
  ...attentions,
  ...conv,
  ...pool,
  ...norm,
  ...resize,
  ...loss,
  ...data,
};

/** What operations/index.ts exports besides operations, for making tensors. */
type Creation =
  'f32' | 'i32' | 'u8' | 'tensor' | 'scalar' | 'full' | 'zeros' | 'ones' | 'eye' | 'arange' | 'linspace';
type Composite = Exclude<keyof typeof everything, OpName | Creation>;

/** Cases of the public functions made of operations. */
export const composites: { readonly [N in Composite]: readonly Case[] } = {
  conv2dTranspose: transpose,
  customGradient: custom,
  ...globals,
  ...groups,
  ...compositeElementwise,
  ...compositeLayout,
  ...compositeReduce,
  ...compositeGathering,
  ...compositeMatmul,
  ...compositeRandom,
  mean: means,
  batchNormInference: inference,
  ...activations,
  ...losses,
  ...trigonometry,
  ...statistics,
  ...images,
  ...warp,
};

/** Every case, named `operation: what is special`. */
export const cases: readonly Case[] = Object.entries({
  ...primitive,
  ...composites,
  composite,
  along,
}).flatMap(([name, list]) => list.map((item) => ({ ...item, name: `${name}: ${item.name}` })));
