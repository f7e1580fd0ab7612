/**
 * Fusion: neighboring steps that a backend computes in one pass over memory become one step. It runs after
 * differentiation and before buffers are assigned, so users and `grad` see primitives only. A backend names the fusions it
 * has kernels for; a plan without them computes the same (sums may round differently).
 */
import { chain } from './fusions/elementwise.ts';
import { passes, type FusedName } from './fusions/index.ts';
import { StepGraph } from './step-graph.ts';
import type { AnyStep } from './step.ts';
import type { Values } from './values.ts';

/**
 * Applies the fusions of `names`: chains to all steps, the others to the steps before `commitStep`. `kept` are the roots of
 * values read from outside the steps.
 */
export function fuse(
  steps: readonly AnyStep[],
  commitStep: number,
  values: Values,
  kept: ReadonlySet<number>,
  names: ReadonlySet<FusedName>,
): { readonly steps: readonly AnyStep[]; readonly commitStep: number } {
  if (names.size === 0) return { steps, commitStep };
  const late = steps.slice(commitStep);
  const readOutside = [...kept, ...late.flatMap((step) => step.inputs)];
  const graph = new StepGraph(steps.slice(0, commitStep), values, readOutside);
  for (const fusions of passes) {
    const enabled = fusions.filter(({ name }) => names.has(name));
    // A pattern is found at its last step, when the steps before it are fused already.
    for (let position = 0; position < graph.length; position++) {
      for (const fusion of enabled) {
        const step = graph.at(position);
        if (step === null) break;
        const fused = fusion.match?.(step, graph) ?? null;
        if (fused === null) continue;
        const { along = [], ...rewrite } = fused;
        for (const other of along) graph.replace(other);
        graph.replace({ op: fusion.name, ...rewrite });
      }
    }
  }
  const early = graph.steps;
  const fused = { steps: [...early, ...late], commitStep: early.length };
  return names.has('elementwise') ? chain(fused.steps, fused.commitStep, values, kept) : fused;
}
