/** Our side of a comparison: the training step of a workload through `train`, as users run it. */
import { arrays, channelStats, meanImage, shapes, synthetic, type Dataset } from '../datasets/index.ts';
import { loader } from '../datasets/index.ts';
import {
  crossEntropy,
  stream,
  train,
  wasm,
  type GpuReport,
  type HostData,
  type HostTensor,
  type Report,
  type State,
  type WasmReport,
} from '../engine/index.ts';
import * as nn from '../engine/nn/index.ts';
import type { Plan } from '../engine/tools/index.ts';
import { mobilenetV2, resnet18, unet, vit } from '../engine/zoo/index.ts';
import { adamw, sgd, type Optimizer } from '../optim/index.ts';
import type { Arm } from './measure.ts';
import type { LayerSpec, LayerSpecs, Workload, ZooSpec } from './workloads.ts';

/** Mean and standard deviation of images: those of the first layer of a model. */
interface Statistics {
  readonly mean: HostTensor | HostData;
  readonly std?: HostData;
}

/** The batch that every engine trains on repeatedly. */
export interface BatchData {
  readonly dataset: Dataset;
  /** The input of the first layer after normalization: f32 [N, ...input], channels last. */
  readonly x: Float32Array;
  /** A class for each example, or for each pixel. */
  readonly labels: Int32Array;
  /** The statistics with which the first layer computes `x` from the examples. Null if the examples are `x`. */
  readonly normalize: Statistics | null;
}

/** A data set of `n` synthetic examples, a pure function of the workload and the seed. */
export function makeDataset({ input, classes, targets }: Workload, n: number, seed: number): Dataset {
  if (input.length === 1) {
    const draws = stream(seed, 'bench inputs');
    const data = Float32Array.from({ length: n * input[0] }, () => draws.normal());
    const labels = Int32Array.from({ length: n }, (_, i) => i % classes);
    return arrays({ shape: [n, ...input], data }, labels, { classes, name: 'bench/vectors' });
  }
  const [height, width, channels] = input as readonly [number, number, number];
  if (targets === 'mask') return shapes({ n, targets, size: height, seed });
  return synthetic({ kind: 'images', n, classes, seed, height, width, channels });
}

export function statisticsOf({ normalize }: Workload, dataset: Dataset): Statistics | null {
  if (normalize === 'none') return null;
  return normalize === 'mean-image' ? { mean: meanImage(dataset) } : channelStats(dataset);
}

/** A batch of synthetic examples, a pure function of the workload and the seed. */
export function makeBatch(workload: Workload, seed: number): BatchData {
  const { input, batchSize, targets } = workload;
  const dataset = makeDataset(workload, batchSize, seed);
  const normalize = statisticsOf(workload, dataset);
  const size = batchSize * input.reduce((a, b) => a * b, 1);
  const examples = normalize === null ? new Float32Array(size) : new Uint8Array(size);
  const labels = new Int32Array(targets === 'mask' ? size / input[input.length - 1] : batchSize);
  dataset.read(
    Uint32Array.from({ length: batchSize }, (_, i) => i),
    examples,
    labels,
  );
  if (normalize === null) return { dataset, x: examples as Float32Array, labels, normalize };
  const { std } = normalize;
  const mean = 'data' in normalize.mean ? normalize.mean.data : normalize.mean;
  const x = Float32Array.from(
    examples,
    (byte, i) => (byte - mean[i % mean.length]) / (std?.[i % std.length] ?? 1),
  );
  return { dataset, x, labels, normalize };
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
      const { inputs, outputs, kernel, stride, padding, bias, std, biasFactors, frozen } = spec;
      const layer = nn.conv2d(inputs, outputs, kernel, {
        ...weights(std),
        stride,
        padding,
        bias: bias && { lrMult: biasFactors.lr, decayMult: biasFactors.decay },
      });
      return frozen ? nn.freeze(layer, ['weight']) : layer;
    }
    case 'dense': {
      const { inputs, outputs, bias, std, weightFactors, biasFactors } = spec;
      return nn.dense(inputs, outputs, {
        ...weights(std),
        lrMult: weightFactors.lr,
        decayMult: weightFactors.decay,
        bias: bias && { lrMult: biasFactors.lr, decayMult: biasFactors.decay },
      });
    }
    case 'maxPool':
      return nn.maxPool2d(spec.kernel, spec.stride, { ceil: spec.ceil });
    case 'avgPool':
      return nn.avgPool2d(spec.kernel, spec.stride, { ceil: spec.ceil });
    case 'lrn':
      return nn.lrn({ size: spec.size, alpha: spec.alpha, beta: spec.beta });
    case 'batchNorm':
      return nn.batchNorm(spec.channels, { scale: spec.scale, epsilon: spec.epsilon });
    case 'residual':
      return nn.residual(
        buildLayers(spec.main),
        spec.shortcut === null ? undefined : buildLayers(spec.shortcut),
      );
    case 'relu':
      return nn.relu();
    case 'gelu':
      return nn.gelu();
    case 'multiply':
      return nn.activation((x) => x.mul(spec.factor), 'multiply');
    case 'flatten':
      return nn.flatten();
    default:
      throw new TypeError(`workload: unknown layer ${JSON.stringify(spec satisfies never)}`);
  }
}

const MODELS = { resnet18, mobilenetV2, unet };

const zooModel = (spec: ZooSpec, normalize: BatchData['normalize']): nn.Layer =>
  spec.model === 'vit'
    ? vit({ ...spec.options, ...normalize })
    : MODELS[spec.model]({ ...spec.options, ...normalize });

export function buildModel(workload: Workload, { normalize }: Pick<BatchData, 'normalize'>): nn.Layer {
  if ('zoo' in workload) return zooModel(workload.zoo, normalize);
  const rest = buildEach(workload.layers);
  if (normalize === null) return nn.sequential(rest);
  const { mean, ...options } = normalize;
  return nn.sequential({ input: nn.normalize(mean, options), ...rest });
}

export function makeOptimizer({ optimizer, lr, momentum, weightDecay }: Workload): Optimizer {
  if (optimizer === 'adamw') return adamw({ lr, weightDecay });
  return sgd({ lr, momentum, weightDecay, form: 'caffe' });
}

export interface OurArm extends Arm {
  readonly report: Report;
  /** Multiplications and additions of a step, by direct computation. */
  readonly flopsPerStep: number;
  readonly model: nn.Layer;
  /** The parameters before the first step, with statistics and constants. */
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
    loss: crossEntropy,
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
    return {
      name: 'cyclegrad',
      report,
      flopsPerStep: plans[0].steps.reduce((sum, { flops }) => sum + flops, 0),
      model,
      initial: nn.initState(model, null, seed),
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
