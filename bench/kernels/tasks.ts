/** The single operations that are measured. */
import type { MatmulTask, Task } from './ours.ts';

export type Single = Exclude<Task, { readonly kind: 'convTrain' }>;

/** [batch, size, kernel, channels in, channels out] */
const SHAPES = [
  [100, 32, 5, 3, 32],
  [100, 16, 5, 32, 32],
  [100, 8, 5, 32, 64],
  [100, 8, 5, 64, 64],
  [32, 32, 3, 3, 64],
  [32, 32, 3, 64, 64],
  [32, 16, 3, 64, 128],
  [32, 16, 3, 128, 128],
  [32, 8, 3, 128, 256],
  [32, 8, 3, 256, 256],
] as const;
const PASSES = ['forward', 'gradInput', 'gradWeight'] as const;

/** A chain of products with as many elements as one product of 1024. */
export const productOf = (n: number): MatmulTask => ({
  kind: 'matmul',
  n,
  chain: Math.max(1, (1024 / n) ** 2),
});

export const tasks: readonly Single[] = [
  ...[256, 512, 1024].map(productOf),
  ...SHAPES.flatMap(([batch, size, kernel, inputs, outputs]) =>
    PASSES.map((pass) => ({ kind: 'conv', pass, batch, size, kernel, inputs, outputs }) as const),
  ),
];

export function titleOf(task: Single): string {
  if (task.kind === 'matmul') return `matmul ${task.n}${task.chain === 1 ? '' : `, ${task.chain} in a row`}`;
  const { kernel, inputs, outputs, size, batch } = task;
  return `conv ${kernel}×${kernel} ${inputs}→${outputs} at ${size}×${size}, batch ${batch}`;
}

export const passOf = (task: Single): string => (task.kind === 'conv' ? task.pass : '');
