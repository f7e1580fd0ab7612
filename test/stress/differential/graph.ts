/** A graph case in cyclegrad: its request to PyTorch, and its results on a backend through the public interface. */
import {
  add,
  compile,
  grad,
  mul,
  scalar,
  sum,
  tensor,
  type Backend,
  type HostTensor,
  type Tensor,
} from 'cyclegrad';
import type { GraphCase } from './case.ts';
import { valuesOf } from './draws.ts';
import { operationOf } from './operations/index.ts';
import { encode } from './torch.ts';

/** A case with its values. */
export interface Prepared {
  readonly item: GraphCase;
  readonly inputs: readonly HostTensor[];
  /** The weight of each element of the `f32` outputs, in their order. */
  readonly weights: readonly HostTensor[];
  /** The vector that the Hessian is multiplied with, by input of `wrt`. */
  readonly vectors: readonly HostTensor[];
}

const constant = ({ shape, dtype, data }: HostTensor): Tensor => tensor(data, { shape, dtype });

function outputsOf({ nodes, outputs }: GraphCase, inputs: readonly Tensor[]): readonly Tensor[] {
  const values = [...inputs];
  for (const { op, args, attrs } of nodes) {
    const built = operationOf(op).build(
      args.map((i) => values[i]),
      attrs,
    );
    values.push(...(Array.isArray(built) ? (built as readonly Tensor[]) : [built as Tensor]));
  }
  return outputs.map((i) => values[i]);
}

/** Both signs, with absolute values from 1/2 to 2. */
const WEIGHTS = { kind: 'binades', low: -1, high: 0, signs: 'both' } as const;

export function prepare(item: GraphCase): Prepared {
  const inputs = item.inputs.map((input, i) => valuesOf(input, item.seed, `input ${i}`));
  const outputs = outputsOf(item, inputs.map(constant));
  const random = (what: string, like: { readonly shape: readonly number[] }, i: number): HostTensor =>
    valuesOf({ shape: like.shape, dtype: 'f32', values: WEIGHTS }, item.seed, `${what} ${i}`);
  return {
    item,
    inputs,
    weights: outputs.filter(({ dtype }) => dtype === 'f32').map((y, i) => random('weight', y, i)),
    vectors: item.order < 2 ? [] : item.wrt.map((i) => random('vector', inputs[i], i)),
  };
}

export const requestOf = ({ item, inputs, weights, vectors }: Prepared): object => ({
  ...item,
  // Targets of 0 and 1 are not rounded numbers.
  inputs: inputs.map((value, i) => ({ ...encode(value), isRounded: item.inputs[i].values.kind !== 'ties' })),
  weights: weights.map(encode),
  vectors: vectors.map(encode),
});

const weighted = (values: readonly Tensor[], weights: readonly HostTensor[]): Tensor =>
  values.reduce((total, value, i) => add(total, sum(mul(value, constant(weights[i])))), scalar(0));

/** The outputs, the gradients, and the products of the Hessian and the vectors. */
function resultsOf({ item, weights, vectors }: Prepared, inputs: readonly Tensor[]): readonly Tensor[] {
  const outputs = outputsOf(item, inputs);
  if (item.order === 0) return outputs;
  const wrt = item.wrt.map((i) => inputs[i]);
  const floats = outputs.filter(({ dtype }) => dtype === 'f32');
  const slopes = grad(weighted(floats, weights), wrt);
  if (item.order === 1) return [...outputs, ...slopes];
  return [...outputs, ...slopes, ...grad(weighted(slopes, vectors), wrt)];
}

/** 0 for values, 1 for gradients, 2 for second derivatives. */
export function levelOf({ outputs, wrt }: GraphCase, result: number): 0 | 1 | 2 {
  if (result < outputs.length) return 0;
  return result < outputs.length + wrt.length ? 1 : 2;
}

/** A name for messages. */
export function nameOf(item: GraphCase, result: number): string {
  const level = levelOf(item, result);
  if (level === 0) return `output ${result}`;
  const input = item.wrt[(result - item.outputs.length) % item.wrt.length];
  return level === 1 ? `gradient by input ${input}` : `second derivative by input ${input}`;
}

export async function runGraph(backend: Backend, prepared: Prepared): Promise<readonly HostTensor[]> {
  const { item, inputs } = prepared;
  const named = (role: string): [string, HostTensor][] =>
    item.inputs.flatMap((input, i): [string, HostTensor][] =>
      input.role === role ? [[`v${i}`, inputs[i]]] : [],
    );
  const step = await compile(backend, {
    inputs: Object.fromEntries(named('input')),
    state: Object.fromEntries(named('state')),
    build(fed: Readonly<Record<string, unknown>>, state) {
      const tensors = item.inputs.map(({ role }, i) => {
        if (role === 'constant') return constant(inputs[i]);
        return (role === 'input' ? fed[`v${i}`] : state[`v${i}`]) as Tensor;
      });
      const results = resultsOf(prepared, tensors);
      return { outputs: Object.fromEntries(results.map((result, i) => [`r${i}`, result])) };
    },
  });
  try {
    const values = await step.run(Object.fromEntries(named('input').map(([name, { data }]) => [name, data])));
    return Object.keys(values).map((_, i) => values[`r${i}`]);
  } finally {
    await step.close();
    await step.store.close();
  }
}
