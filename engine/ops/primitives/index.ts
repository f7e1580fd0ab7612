/** All primitive operations. A backend must have a kernel for each of them: kernel tables are typed by the keys of this table. */
import { elementwiseOps, identityOps } from './elementwise.ts';
import { gatherOps } from './gather.ts';
import { layoutOps } from './layout.ts';
import { reduceOps } from './reduce.ts';
import { matmulOps } from './matmul.ts';
import { attentionOps } from './attention.ts';
import { convOps } from './conv.ts';
import { poolOps } from './pool.ts';
import { normOps } from './norm.ts';
import { resizeOps } from './resize.ts';
import { lossOps } from './loss.ts';
import { randomOps } from './random.ts';
import { imageOps } from './images.ts';

export const ops = {
  ...elementwiseOps,
  ...identityOps,
  ...layoutOps,
  ...reduceOps,
  ...gatherOps,
  ...matmulOps,
  ...attentionOps,
  ...convOps,
  ...poolOps,
  ...normOps,
  ...resizeOps,
  ...lossOps,
  ...randomOps,
  ...imageOps,
} as const;

export type OpName = keyof typeof ops;

/** Attributes of an operation, as its kernels receive them. */
export type AttrsOf<N extends OpName> = Parameters<(typeof ops)[N]>[1];
