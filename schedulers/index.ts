/** The public API of the schedules. They are pure functions and independent of the engine. */
export { boundsFromMax, lastCycleEnd, notices, stepSizeFromEpochs, type ScheduleNotice } from './bounds.ts';
export { clamp, join, mirror, repeat, scale, warmup } from './compose.ts';
export { cosine, cosineWarmRestarts, type CosineOptions, type CosineWarmRestartsOptions } from './cosine.ts';
export { cyclicLR, cyclicMomentum, type CyclicOptions } from './cyclic.ts';
export {
  decay,
  exponential,
  geometric,
  inv,
  linear,
  multistep,
  poly,
  sigmoid,
  step,
  trapezoid,
  type TrapezoidOptions,
} from './decay.ts';
export { scheduleFromJSON, scheduleKinds } from './json.ts';
export {
  oneCycle,
  oneCycleMomentum,
  type OneCycleMomentumOptions,
  type OneCycleOptions,
} from './one-cycle.ts';
export type { NamedFunction, StepCount } from './options.ts';
export { plateau, type Plateau, type PlateauOptions, type PlateauState } from './plateau.ts';
export {
  asSchedule,
  constant,
  custom,
  isSchedule,
  type Cycle,
  type Json,
  type Schedule,
  type ScheduleConfig,
} from './schedule.ts';
