/** Hand-written WGSL in place of gpu.js's kernels, by the name of the step. */
import type { FusedName } from '../../plan/fuse.ts';
import type { KernelName } from '../../plan/plan.ts';
import type { Override } from './program.ts';
import type { WgslLimits } from './wgsl/dispatch.ts';

type Write = (site: Parameters<Override>[0], limits: WgslLimits) => ReturnType<Override>;

const written: { readonly [N in KernelName | FusedName]?: Write } = {};

export const overridesFor =
  (limits: WgslLimits): Override =>
  (site, { op }) =>
    written[op]?.(site, limits) ?? null;
