/** Single operations on our backend. Operands and results are state, so a run transfers nothing to or from the host. */
import {
  compile,
  grad,
  matmul,
  mul,
  stream,
  sum,
  type Backend,
  type HostTensor,
  type Report,
  type State,
  type Tensor,
  conv2d,
} from '../../engine/index.ts';
import { primitives } from '../../engine/tools/index.ts';
import type { Arm } from '../measure.ts';
import { expectReport, type Wanted } from '../ours.ts';
import type { ConvTask } from '../peers/torch.ts';

export type Task = MatmulTask | ({ readonly kind: 'conv' } & ConvTask) | ConvTrainTask;

/** a · b · b · …: a chain of products of n × n matrices, so the overhead of a call is negligible. */
export interface MatmulTask {
  readonly kind: 'matmul';
  readonly n: number;
  /** Products of a run. */
  readonly chain: number;
}

/** Forward pass and weight gradient of a convolution in one run: the part of a training step that jax-js supports. */
export interface ConvTrainTask extends Omit<ConvTask, 'pass'> {
  readonly kind: 'convTrain';
}

export interface OurTask extends Arm {
  readonly report: Report;
  /** The algorithm that the backend selected. '' if there is only one. */
  readonly method: string;
  /** Of the direct computation. */
  readonly flops: number;
  /** The minimum time inside the backend over `runs` runs, without the overhead of a call. */
  kernelMs(runs: number): Promise<number>;
  close(): Promise<void>;
}

/** Starts the task as an arm. Throws if another backend runs. */
export async function startOurTask(backend: Backend, task: Task, wanted: Wanted): Promise<OurTask> {
  const step = await compile(backend, {
    state: stateOf(task),
    build: (_, state) => ({ outputs: {}, next: build(task, state) }),
  });
  return {
    name: 'cyclegrad',
    report: expectReport(step.report, wanted),
    flops: step.plan.steps.reduce((total, { flops }) => total + flops, 0),
    method: [...step.notes.values()].map(({ method }) => method).join('; '),
    async turn(skip, count) {
      for (let i = 0; i < skip; i++) await step.run({});
      const ms: number[] = [];
      for (let i = 0; i < count; i++) {
        const begin = performance.now();
        await step.run({});
        ms.push(performance.now() - begin);
      }
      return ms;
    },
    async kernelMs(runs) {
      let least = Infinity;
      for (let i = 0; i < runs; i++) {
        const times = await step.profile({});
        least = Math.min(
          least,
          times.reduce((total, { ms }) => total + ms, 0),
        );
      }
      return least;
    },
    close: () => step.close(),
  };
}

function stateOf(task: Task): State {
  const draws = stream(1, 'bench kernels');
  const random = (...shape: number[]): HostTensor => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    // Repeats a few thousand numbers: generating millions takes longer than the measurement.
    const some = Float32Array.from({ length: 4099 }, () => draws.uniform() - 0.5);
    for (let at = 0; at < data.length; at += some.length) data.set(some.subarray(0, data.length - at), at);
    return { shape, dtype: 'f32', data };
  };
  if (task.kind === 'matmul') {
    const { n } = task;
    return { a: random(n, n), b: random(n, n), y: random(n, n) };
  }
  const { batch, size, kernel, inputs, outputs } = task;
  const x = random(batch, size, size, inputs);
  const w = random(kernel, kernel, inputs, outputs);
  const g = random(batch, size, size, outputs);
  if (task.kind === 'convTrain') return { x, w, g, y: g, dw: w };
  switch (task.pass) {
    case 'forward':
      return { x, w, y: g };
    case 'gradInput':
      return { g, w, y: x };
    case 'gradWeight':
      return { x, g, y: w };
    default:
      throw new TypeError(`kernels: unknown pass ${JSON.stringify(task.pass satisfies never)}`);
  }
}

function build(task: Task, state: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  if (task.kind === 'matmul') {
    let y = state['a'];
    for (let i = 0; i < task.chain; i++) y = matmul(y, state['b']);
    return { y };
  }
  const { kernel, size } = task;
  const pad = (kernel - 1) / 2;
  if (task.kind === 'convTrain') {
    const y = conv2d(state['x'], state['w'], { padding: pad });
    return { y, dw: grad(sum(mul(y, state['g'])), [state['w']])[0] };
  }
  const attrs = {
    stride: [1, 1],
    pad: [pad, pad, pad, pad],
    input: [size, size],
    kernel: [kernel, kernel],
    output: [size, size],
    dilation: [1, 1],
    groups: 1,
  } as const;
  switch (task.pass) {
    case 'forward':
      return { y: primitives.conv2d([state['x'], state['w']], attrs)[0] };
    case 'gradInput':
      return { y: primitives.conv2dGradInput([state['g'], state['w']], attrs)[0] };
    case 'gradWeight':
      return { y: primitives.conv2dGradWeight([state['x'], state['g']], attrs)[0] };
    default:
      throw new TypeError(`kernels: unknown pass ${JSON.stringify(task.pass satisfies never)}`);
  }
}
