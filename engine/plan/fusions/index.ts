/** The table of all fusions. Every backend's table of fused kernels is typed by its keys. */
import type { AnyOp } from '../../op.ts';
import { ops } from '../../ops/primitives/index.ts';
import type { Fusion } from '../fusion.ts';
import { isOperation } from '../step.ts';
import { slicedAttention, slicedAttentionGrad } from './attention.ts';
import { conv2dBias, conv2dGradWeightBias } from './conv.ts';
import { elementwise } from './elementwise.ts';
import { conv2dMaxPool, conv2dMaxPoolGradWeight, maxPool2dArgmax, maxPool2dArgmaxGrad } from './max-pool.ts';
import { batchNormAct, batchNormActGrad } from './norm.ts';
import { avgPool2dReluGrad, maxPool2dRelu, maxPool2dReluGrad } from './pool.ts';

const local = {
  conv2dBias,
  conv2dGradWeightBias,
  batchNormAct,
  batchNormActGrad,
  maxPool2dRelu,
  maxPool2dReluGrad,
  avgPool2dReluGrad,
  slicedAttention,
  slicedAttentionGrad,
} as const;

const aroundMaxPool = {
  maxPool2dArgmax,
  maxPool2dArgmaxGrad,
  conv2dMaxPool,
  conv2dMaxPoolGradWeight,
} as const;

export const fusions = { ...local, ...aroundMaxPool, elementwise } as const;

/**
 * The passes over the steps of a plan, each with its fusions in the order in which they are tried at a step. Around a max
 * pool, forward and backward steps change together, so the fusions that they consist of come first.
 */
export const passes = [Object.values(local), Object.values(aroundMaxPool)];

export type FusedName = keyof typeof fusions;

/** The attributes of a fused step, as its kernels receive them. */
export type FusedAttrs<N extends FusedName> = (typeof fusions)[N] extends Fusion<N, infer A> ? A : never;

export const isFusion = (name: string): name is FusedName => Object.hasOwn(fusions, name);

/** What the declaration of an operation or a fusion says about its steps. */
interface Declaration {
  readonly mayReuse?: readonly number[] | 'all';
  readonly readsPart?: true;
  readonly indexRange?: AnyOp['indexRange'];
}

/** The declaration of a step's operation or fusion; empty for `copy`. */
export function declarationOf(name: string): Declaration {
  if (isOperation(name)) return ops[name];
  return isFusion(name) ? fusions[name] : {};
}
