/** The time of an update, as the page gets it. */
import type { StepProfile } from '../../../engine/index.ts';
import { summarizeProfile } from '../../../engine/tools/index.ts';
import type { ProfileView } from '../protocol.ts';

export function profileView({ plan, profiles }: StepProfile, step: number): ProfileView {
  const { rows, ms, gflopPerSecond, runs } = summarizeProfile(plan, profiles);
  return {
    step,
    runs,
    ms,
    gflopPerSecond,
    rows: rows.map(({ op, path, ms: each, rate, bound }) => ({ op, path, ms: each, rate, bound })),
  };
}
