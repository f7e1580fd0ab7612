/** Our side of a comparison: the training step of a workload through `train`, as users run it. */
import { arrays, channelStats, meanImage, synthetic, type Dataset } from '../datasets/index.ts';
import { loader } from '../datasets/index.ts';
import {
  stream,
  train,
  wasm,
  type GpuReport,
  type Report,
  type State,
  type WasmReport,
} from '../engine/index.ts';
import * as nn from '../engine/nn/index.ts';
import type { Plan } from '../engine/tools/index.ts';
import { sgd } from '../optim/index.ts';
import type { Arm } from './measure.ts';
import type { LayerSpec, LayerSpecs, Workload } from './workloads.ts';

/** The batch that every engine trains on repeatedly. */
export interface BatchData {
  readonly dataset: Dataset;
  /** The input of the first layer after normalization: f32 [N, ...input], channels last. */
  readonly x: Float32Array;
  readonly labels: Int32Array;
  /** The layer that computes `x` from the examples. Null if the examples are `x`. */
  readonly normalize: nn.Layer | null;
}

/** A batch of synthetic examples, a pure function of the workload and the seed. */
export function makeBatch({ input, batchSize, classes, normalize: kind }: Workload, seed: number): BatchData {
  const indices = Uint32Array.from({ length: batchSize }, (_, i) => i);
  const labels = new Int32Array(batchSize);
  if (input.length === 1) {
    const draws = stream(seed, 'bench inputs');
    const x = Float32Array.from({ length: batchSize * input[0] }, () => draws.normal());
    labels.forEach((_, i) => (labels[i] = i % classes));
    const dataset = arrays({ shape: [batchSize, ...input], data: x }, labels, {
      classes,
      name: 'bench/vectors',
    });
    return { dataset, x, labels, normalize: null };
  }
  const [height, width, channels] = input as readonly [number, number, number];
  const dataset = synthetic({ kind: 'images', n: batchSize, classes, seed, height, width, channels });
  const bytes = new Uint8Array(batchSize * height * width * channels);
  dataset.read(indices, bytes, labels);
  if (kind === 'mean-image') {
    const mean = meanImage(dataset);
    const x = Float32Array.from(bytes, (byte, i) => byte - mean.data[i % mean.data.length]);
    return { dataset, x, labels, normalize: nn.normalize(mean) };
  }
  const { mean, std } = channelStats(dataset);
  const x = Float32Array.from(bytes, (byte, i) => (byte - mean[i % channels]) / std[i % channels]);
  return { dataset, x, labels, normalize: nn.normalize(mean, { std }) };
}

export function buildLayers(specs: LayerSpecs): nn.Layer {
  return nn.sequential(buildEach(specs));
}

const buildEach = (specs: LayerSpecs): Record<string, nn.Layer> =>
  Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, buildLayer(spec)]));

const weights = (std: number | null) => (std === null ? {} : { init: nn.init.normal(std) });

function buildLayer(spec: LayerSpec): nn.Layer {
  switch (spec.kind) {
    case 'conv': {
      const { inputs, outputs, kernel, stride, padding, bias, std, biasFactors } = spec;
      return nn.conv2d(inputs, outputs, kernel, {
        ...weights(std),
        stride,
        padding,
        bias: bias && { lrMult: biasFactors.lr, decayMult: biasFactors.decay },
      });
    }
    case 'dense': {
      const { inputs, outputs, std, weightFactors, biasFactors } = spec;
      return nn.dense(inputs, outputs, {
        ...weights(std),
        lrMult: weightFactors.lr,
        decayMult: weightFactors.decay,
        bias: { lrMult: biasFactors.lr, decayMult: biasFactors.decay },
      });
    }
    case 'maxPool':
      return nn.maxPool2d(spec.kernel, spec.stride, { ceil: spec.ceil });
    case 'avgPool':
      return nn.avgPool2d(spec.kernel, spec.stride, { ceil: spec.ceil });
    case 'lrn':
      return nn.lrn({ size: spec.size, alpha: spec.alpha, beta: spec.beta });
    case 'batchNorm':
      return nn.batchNorm(spec.channels);
    case 'residual':
      return nn.residual(
        buildLayers(spec.main),
        spec.shortcut === null ? undefined : buildLayers(spec.shortcut),
      );
    case 'relu':
      return nn.relu();
    case 'flatten':
      return nn.flatten();
    default:
      throw new TypeError(`workload: unknown layer ${JSON.stringify(spec satisfies never)}`);
  }
}

export function buildModel({ layers }: Workload, { normalize: first }: BatchData): nn.Layer {
  const rest = buildEach(layers);
  return nn.sequential(first === null ? rest : { input: first, ...rest });
}

export function makeOptimizer({ lr, momentum, weightDecay }: Workload) {
  return sgd({ lr, momentum, weightDecay, form: 'caffe' });
}

export interface OurArm extends Arm {
  readonly report: Report;
  /** Multiplications and additions of a step, by direct computation. */
  readonly flopsPerStep: number;
  /** The trained parameters before the first step. */
  readonly initial: State;
  /** The loss of each step. */
  readonly losses: readonly number[];
  close(): Promise<void>;
}

/**
 * Starts a training run as an arm.
 * Throws if the backend does not run as requested.
 */
export async function startOurs(
  workload: Workload,
  batch: BatchData,
  { threads, seed }: { readonly threads: number; readonly seed: number },
): Promise<OurArm> {
  const backend = await wasm({ threads });
  const plans: Plan[] = [];
  const load = backend.load.bind(backend);
  backend.load = (plan, store) => {
    plans.push(plan);
    return load(plan, store);
  };
  const model = buildModel(workload, batch);
  const events = train({
    model,
    backend,
    steps: 2 ** 30, // the run ends when the arm is closed
    seed,
    data: loader(batch.dataset, { batchSize: workload.batchSize, shuffle: false }),
    optimizer: makeOptimizer(workload),
  });
  const losses: number[] = [];
  const close = async (): Promise<void> => {
    await events.return();
    await backend.close();
  };
  try {
    const { value: first } = await events.next();
    if (first?.type !== 'start') throw new Error(`${workload.name}: the run did not start`);
    const report = expectReport(first.report, { backend: 'wasm', threads });
    const step = async (): Promise<number> => {
      for (;;) {
        const begin = performance.now();
        const { value: event } = await events.next();
        const ms = performance.now() - begin;
        if (event === undefined || event.type === 'end') throw new Error(`${workload.name}: the run ended`);
        if (event.type !== 'step') continue;
        losses.push(event.loss);
        return ms;
      }
    };
    const state = nn.initState(model, null, seed);
    const initial = Object.fromEntries(
      Object.entries(state).filter(([name]) => model.params[name].frozen !== true),
    );
    return {
      name: 'cyclegrad',
      report,
      flopsPerStep: plans[0].steps.reduce((sum, { flops }) => sum + flops, 0),
      initial,
      losses,
      async turn(skip, count) {
        for (let i = 0; i < skip; i++) await step();
        const ms: number[] = [];
        for (let i = 0; i < count; i++) ms.push(await step());
        return ms;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface WantedWasm {
  readonly backend: 'wasm';
  readonly threads: number;
}

interface WantedGpu {
  readonly backend: 'gpu';
}

/** The backend to measure: the wasm backend with a number of threads, or the GPU backend. */
export type Wanted = WantedWasm | WantedGpu;

/** Throws unless the report is that of the wanted backend. */
export function expectReport(report: Report, wanted: WantedWasm): WasmReport;
export function expectReport(report: Report, wanted: WantedGpu): GpuReport;
export function expectReport(report: Report, wanted: Wanted): Report;
export function expectReport(report: Report, wanted: Wanted): Report {
  const threads = wanted.backend === 'wasm' ? wanted.threads : 1;
  if (report.fallback === null && report.backend === wanted.backend && report.threads === threads)
    return report;
  throw new Error(
    `expected the ${wanted.backend} backend with ${threads} thread${threads === 1 ? '' : 's'} and no fallback, ` +
      `got ${JSON.stringify(report)}`,
  );
}
