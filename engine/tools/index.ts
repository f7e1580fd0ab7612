/**
 * Tools around the engine: gradient checks, profiles, machine limits, the types of plans, and decompositions of small matrices on the
 * host.
 */
export { gradcheck, type GradcheckOptions, type GradcheckReport, type GradcheckRow } from './gradcheck.ts';
export {
  measureLimits,
  startLimit,
  type LimitOptions,
  type LimitTeam,
  type MachineLimits,
} from './limits.ts';
export { eigh, qr, svd } from '../linalg.ts';
export { whitening, type WhiteningOptions } from './whitening.ts';
export { formatProfile, summarizeProfile, type ProfileRow, type ProfileSummary } from './profile.ts';
export type { Executable, StepTime } from '../backends/backend.ts';
export { adapterName, simdName } from '../backends/report.ts';
export { SIMD_KINDS, wideSimdUnavailableReason, type Simd } from '../backends/wasm/simd.ts';
export { Evaluator } from '../evaluate.ts';
export { ops as primitives } from '../ops/primitives/index.ts';
export type { Plan, Step, StepNote } from '../plan/plan.ts';
