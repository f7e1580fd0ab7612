/** Draws case number n of a seed: first its family, then the case. */
import type { Case, GraphCase, Role } from './case.ts';
import { Draws } from './draws.ts';
import { drawOptimizer } from './optimizers.ts';
import { families, operationOf } from './operations/index.ts';
import { drawProgram } from './programs.ts';
import { drawSchedule } from './schedules.ts';

const OPERATIONS = Object.keys(families) as (keyof typeof families)[];

/** How often each family is drawn, relative to the others. Elementwise operations are many and cheap. */
const WEIGHTS = {
  elementwise: 6,
  layout: 3,
  reduce: 4,
  images: 4,
  losses: 2,
  layers: 3,
  tokens: 2,
  programs: 5,
  optimizers: 1,
  schedules: 1,
} as const;

export type Family = keyof typeof WEIGHTS;
export const FAMILIES = Object.keys(WEIGHTS) as readonly Family[];

export function drawCase(seed: number, number: number, chosen: readonly Family[] = FAMILIES): Case {
  const draws = new Draws(seed, `case ${number}`);
  const bag = chosen.flatMap((family) => Array.from({ length: WEIGHTS[family] }, () => family));
  return caseOf(draws.pick(bag), draws);
}

function caseOf(family: Family, draws: Draws): Case {
  switch (family) {
    case 'programs':
      return programCase(draws);
    case 'optimizers':
      return drawOptimizer(draws);
    case 'schedules':
      return drawSchedule(draws);
    case 'elementwise':
    case 'layout':
    case 'reduce':
    case 'images':
    case 'losses':
    case 'layers':
    case 'tokens':
      return operationCase(family, draws);
    default:
      throw new Error(`unknown family ${JSON.stringify(family satisfies never)}`);
  }
}

/** Most inputs are fed. Constants and state take other paths through the planner. */
const roleOf = (draws: Draws): Role => draws.pick(['input', 'input', 'constant', 'state']);

const seedOf = (draws: Draws): number => draws.below(2 ** 31);

function operationCase(family: (typeof OPERATIONS)[number], draws: Draws): GraphCase {
  const name = draws.pick(Object.keys(families[family]));
  const operation = operationOf(name);
  const sketch = operation.draw(draws);
  const inputs = sketch.inputs.map((input) => ({ ...input, role: roleOf(draws) }));
  const order = sketch.order ?? 2;
  const floats = inputs.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i] : []));
  const differentiable = (sketch.wrt ?? floats).filter((i) => floats.includes(i));
  const results = Array.from({ length: operation.results ?? 1 }, (_, i) => inputs.length + i);
  return {
    kind: 'graph',
    family,
    seed: seedOf(draws),
    inputs,
    nodes: [{ op: name, args: inputs.map((_, i) => i), attrs: sketch.attrs ?? {} }],
    outputs: results,
    wrt: order === 0 ? [] : differentiable,
    order: differentiable.length === 0 ? 0 : order,
    budget: sketch.budget ?? 'tensor',
    perturbed: sketch.perturbed ?? true,
  };
}

function programCase(draws: Draws): GraphCase {
  const { inputs, nodes, outputs } = drawProgram(draws);
  return {
    kind: 'graph',
    family: 'programs',
    seed: seedOf(draws),
    inputs: inputs.map((input) => ({ ...input, role: roleOf(draws) })),
    nodes,
    outputs,
    wrt: inputs.map((_, i) => i),
    order: draws.chance(0.6) ? 2 : 1,
    budget: 'tensor',
    perturbed: true,
  };
}
