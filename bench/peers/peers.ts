/** All comparisons in one run. Writes a JSON file, from which the chart and the table of docs/benchmarks.md are generated. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { wasm, type Report } from '../../engine/index.ts';
import { environment, type Environment } from '../environment.ts';
import {
  joinedKernels,
  kernelTable,
  limitsOf,
  measureKernels,
  type KernelSettings,
  type KernelsResult,
} from '../kernels/kernels.ts';
import { startOurTask, type ConvTrainTask } from '../kernels/ours.ts';
import { tasks } from '../kernels/tasks.ts';
import { alternate, compare, short, table, type Comparison } from '../measure.ts';
import { measureMemory, memoryTable, type MemoryResult } from '../memory/memory.ts';
import { namesOf, wholeFrom } from '../options.ts';
import { makeBatch, startOurs } from '../ours.ts';
import { workloadNames, workloads, type LayerWorkload, type WorkloadName } from '../workloads.ts';
import { findPackage, type Skipped } from './found.ts';
import { startJax } from './jax.ts';
import {
  compareNetwork,
  compareThreads,
  trained,
  type NetworkResult,
  type ScalingResult,
  type Settings,
} from './networks.ts';
import { startTfjs, TFJS_DIFFERENCES } from './tfjs.ts';
import { findTorch, Torch, torchName, type TorchVersions } from './torch.ts';

export const sections = ['networks', 'threads', 'kernels', 'tfjs', 'jax', 'memory'] as const;
type Section = (typeof sections)[number];

export interface TfjsResult {
  readonly version: string;
  readonly workload: WorkloadName;
  readonly batchSize: number;
  readonly differences: string;
  /** Both with this small batch. Ours uses all threads, theirs has one. */
  readonly comparison: Comparison;
  /** The losses of the first step, from the same weights on the same batch. */
  readonly losses: { readonly ours: number; readonly theirs: number };
  readonly report: Report;
  /** The error of its WebAssembly backend for this network. Null if it trains it. */
  readonly wasmRefusal: string | null;
}

export interface JaxResult {
  readonly version: string;
  readonly task: ConvTrainTask;
  readonly comparison: Comparison;
  readonly report: Report;
}

export interface PeersResult extends Environment {
  readonly benchmark: 'peers';
  readonly config: Settings & {
    /** The number of times that PyTorch and our backend were started. The pairs are divided among them. */
    readonly starts: number;
    readonly torchKeepsMemory: boolean;
    /** The library that PyTorch's process preloads as its memory allocator. Null for that of the system, or of LD_PRELOAD. */
    readonly torchAllocator: string | null;
    readonly kernels: KernelSettings;
    readonly workloads: readonly WorkloadName[];
  };
  readonly baselines: {
    readonly torch: TorchVersions | null;
    readonly tfjs: string | null;
    readonly jax: string | null;
  };
  /** Baselines that were not measured, with the reason. */
  readonly skipped: readonly Skipped[];
  /** Before the first measurement and after the last, which reveals a busy machine. */
  readonly limits: { readonly before: KernelsResult['limits']; after: KernelsResult['limits'] | null };
  readonly networks: readonly NetworkResult[];
  readonly threads: ScalingResult | null;
  readonly kernels: KernelsResult | null;
  readonly tfjs: TfjsResult | null;
  readonly jax: JaxResult | null;
  readonly memory: MemoryResult | null;
}

interface PeersArguments extends Settings {
  readonly starts: number;
  readonly only: readonly Section[];
  readonly workloads: readonly WorkloadName[];
  readonly kernelTurnMs: number;
  readonly peers?: string;
  readonly python?: string;
  readonly anyBlas?: boolean;
  readonly torchKeepsMemory?: boolean;
  readonly torchAllocator?: string;
  readonly out?: string;
}

type Building = { -readonly [K in keyof PeersResult]: PeersResult[K] };

export async function measurePeers(
  options: PeersArguments,
  log: (line: string) => void,
  save: (result: PeersResult) => void,
): Promise<PeersResult> {
  const { threads, pairs, starts, turnMs, warmup, seed, only, peers, python } = options;
  const { anyBlas = false, torchKeepsMemory: keepsMemory = false, torchAllocator: allocator } = options;
  const settings = { threads, pairs, turnMs, warmup, seed };
  const kernels = { threads, pairs, turnMs: options.kernelTurnMs, warmup };
  const share = { pairs: Math.ceil(pairs / starts) };
  const where = environment();
  const skipped: Skipped[] = [];
  const skip = (one: Skipped): null => {
    log(`skipped ${one.name}: ${one.reason}`);
    skipped.push({ name: one.name, reason: one.reason });
    return null;
  };
  const wants = (section: Section): boolean => only.includes(section);

  log('peak of the machine');
  const result: Building = {
    benchmark: 'peers',
    ...where,
    config: {
      ...settings,
      starts,
      torchKeepsMemory: keepsMemory,
      torchAllocator: allocator ?? null,
      kernels,
      workloads: options.workloads,
    },
    baselines: { torch: null, tfjs: null, jax: null },
    skipped,
    limits: { before: await limitsOf(threads), after: null },
    networks: [],
    threads: null,
    kernels: null,
    tfjs: null,
    jax: null,
    memory: null,
  };
  const needsTorch = wants('networks') || wants('kernels');
  const python3 = needsTorch ? findTorch(python) : null;
  if (python3?.found === false) skip(python3);
  if (wants('threads') && threads === 1) skip({ name: 'threads', reason: 'the machine has only one thread' });
  for (let start = 1; start <= starts; start++) {
    log(`start ${start} of ${starts}`);
    const torchOptions = { anyBlas, keepsMemory, ...(allocator !== undefined && { allocator }) };
    const torch = python3?.found === true ? await Torch.start(python3.value, threads, torchOptions) : null;
    result.baselines = { ...result.baselines, torch: torch?.versions ?? null };
    try {
      for (const name of wants('networks') && torch !== null ? options.workloads : []) {
        const before = result.networks.find(({ workload }) => workload === name);
        const measured = await compareNetwork(torch!, workloads[name], { ...settings, ...share }, before);
        result.networks = [...result.networks.filter((one) => one !== before), measured];
        log(`${measured.title}: ${describe(measured.comparison, torchName(torch!.versions))}`);
        save(result);
      }
      if (wants('threads') && threads > 1) {
        result.threads = await compareThreads(workloads.full, { ...settings, ...share }, result.threads);
        log(`speedup of ${threads} threads over one: ${short(result.threads.speedUp)}`);
        save(result);
      }
      if (wants('kernels') && (torch !== null || start === 1)) {
        const measured = await measureKernels(torch, tasks, { ...kernels, ...share }, log);
        result.kernels = result.kernels === null ? measured : joinedKernels(result.kernels, measured);
        save(result);
      }
    } finally {
      await torch?.close();
    }
  }
  if (wants('tfjs')) {
    const found = await findPackage('@tensorflow/tfjs', peers);
    if (!found.found) skip(found);
    else {
      result.baselines = { ...result.baselines, tfjs: found.value.version };
      log('TensorFlow.js: each step takes seconds');
      result.tfjs = await againstTfjs(found.value, settings, peers, skip);
      log(`TensorFlow.js cpu: ${describe(result.tfjs.comparison, 'TensorFlow.js')}`);
      save(result);
    }
  }
  if (wants('jax')) {
    const found = await findPackage('@jax-js/jax', peers);
    if (!found.found) skip(found);
    else {
      result.baselines = { ...result.baselines, jax: found.value.version };
      log('jax-js: each step takes seconds');
      result.jax = await againstJax(found.value, settings);
      log(`jax-js wasm: ${describe(result.jax.comparison, 'jax-js')}`);
      save(result);
    }
  }
  if (wants('memory')) {
    log('memory and startup time, each in a new process');
    result.memory = measureMemory(threads, 7);
  }
  result.limits = { ...result.limits, after: await limitsOf(threads) };
  save(result);
  return result;
}

const describe = ({ oursMs, theirsMs, ratio }: Comparison, baseline: string): string =>
  `${short(oursMs.median)} ms, ${baseline} ${short(theirsMs.median)} ms, ratio ${short(ratio)}`;

/** Steps that take seconds need few pairs: a ratio of thousands does not need precision. */
const SLOW = { pairs: 2, skip: 0, steps: 1 };
const TFJS_BATCH = 10;

async function againstTfjs(
  found: Parameters<typeof startTfjs>[0],
  settings: Settings,
  peers: string | undefined,
  skip: (one: Skipped) => null,
): Promise<TfjsResult> {
  const workload: LayerWorkload = { ...workloads.full, batchSize: TFJS_BATCH };
  const batch = makeBatch(workload, settings.seed);
  const ours = await startOurs(workload, batch, settings);
  try {
    const weights = trained(ours.model, ours.initial) as Parameters<typeof startTfjs>[3];
    await ours.turn(settings.warmup, 0);
    const theirs = await startTfjs(found, 'cpu', workload, weights, batch);
    await theirs.turn(1, 0);
    const comparison = compare(await alternate(ours, theirs, SLOW));
    const losses = { ours: ours.losses[0], theirs: theirs.losses[0] };
    if (Math.abs(losses.ours - losses.theirs) > 1e-3 * losses.ours) {
      throw new Error(
        `the loss of TensorFlow.js differs, so the work is not the same: ${losses.ours} and ${losses.theirs}`,
      );
    }
    theirs.close();
    let wasmRefusal: string | null = null;
    const wasmBackend = await findPackage('@tensorflow/tfjs-backend-wasm', peers);
    if (!wasmBackend.found) skip(wasmBackend);
    else {
      try {
        const second = await startTfjs(found, 'wasm', workload, weights, batch);
        await second.turn(0, 1);
        second.close();
      } catch (error) {
        wasmRefusal = error instanceof Error ? error.message : String(error);
      }
    }
    return {
      version: theirs.version,
      workload: workload.name,
      batchSize: TFJS_BATCH,
      differences: TFJS_DIFFERENCES,
      comparison,
      losses,
      report: ours.report,
      wasmRefusal,
    };
  } finally {
    await ours.close();
  }
}

/** The second convolution of Caffe's network. */
const JAX_TASK: ConvTrainTask = {
  kind: 'convTrain',
  batch: 100,
  size: 16,
  kernel: 5,
  inputs: 32,
  outputs: 32,
};

async function againstJax(
  found: Parameters<typeof startJax>[0] & { readonly version: string },
  { threads, warmup }: Settings,
): Promise<JaxResult> {
  const backend = await wasm({ threads });
  try {
    const ours = await startOurTask(backend, JAX_TASK, { backend: 'wasm', threads });
    try {
      await ours.turn(warmup, 0);
      const theirs = await startJax(found, JAX_TASK);
      await theirs.turn(1, 0);
      const comparison = compare(await alternate(ours, theirs, SLOW));
      return { version: found.version, task: JAX_TASK, comparison, report: ours.report };
    } finally {
      await ours.close();
    }
  } finally {
    await backend.close();
  }
}

export function peersTable(result: PeersResult): string {
  const { networks, threads, kernels, tfjs, jax, memory, skipped, machine, versions, baselines } = result;
  const row = (
    title: string,
    baseline: string,
    { oursMs, theirsMs, ratio, ratioQuartiles }: Comparison,
  ): string[] => [
    title,
    baseline,
    short(oursMs.median),
    short(oursMs.min),
    short(theirsMs.median),
    short(theirsMs.min),
    short(ratio),
    ratioQuartiles.map(short).join(' … '),
  ];
  const { torch } = baselines;
  const pytorch = torch === null ? 'PyTorch' : torchName(torch);
  const rows = [
    ...networks.map((one) =>
      row(
        `${one.title}, batch ${one.batchSize}`,
        `${pytorch} ${one.layout}${one.fused ? `, fused ${workloads[one.workload].optimizer === 'sgd' ? 'SGD' : 'AdamW'}` : ''}`,
        one.comparison,
      ),
    ),
    ...(threads === null ? [] : [row('Caffe full', 'cyclegrad, one thread', threads.comparison)]),
    ...(tfjs === null
      ? []
      : [row(`Caffe full, batch ${tfjs.batchSize}`, 'TensorFlow.js cpu', tfjs.comparison)]),
    ...(jax === null
      ? []
      : [row('conv2 of Caffe full: forward, weight gradient', 'jax-js wasm', jax.comparison)]),
  ];
  const head = ['work', 'baseline', 'ours ms', 'min', 'theirs ms', 'min', 'ratio', 'quartiles'];
  return [
    `${machine.cpu}, ${machine.cores} cores, load ${machine.loadAverage.join(' ')}; Node ${versions.node}, ` +
      `cyclegrad ${versions.cyclegrad} at ${versions.commit?.slice(0, 10) ?? 'no commit'}, ` +
      `PyTorch ${torch === null ? 'none' : `${torch.torch} (${torch.blas ?? 'unknown'} BLAS, ${torch.allocator ?? 'unknown'} allocator)`}`,
    '',
    ...(rows.length === 0 ? [] : [table(head, rows, 2), '']),
    ...(tfjs?.wasmRefusal ? [`TensorFlow.js wasm cannot train it: ${tfjs.wasmRefusal}`, ''] : []),
    ...(kernels === null ? [] : [kernelTable(kernels, pytorch), '']),
    ...(memory === null ? [] : [memoryTable(memory), '']),
    ...skipped.map(({ name, reason }) => `skipped ${name}: ${reason}`),
    'The ratio is our time divided by theirs, the median over pairs. Below 1, we are faster.',
  ].join('\n');
}

export function addPeersBenchmark(program: Command): void {
  program
    .command('peers')
    .description(
      'Compare training steps and operations with PyTorch, TensorFlow.js and jax-js, interleaved in one run.',
    )
    .option('--threads <n>', 'threads of each engine', wholeFrom(1), availableParallelism())
    .option('--pairs <n>', 'pairs of turns', wholeFrom(1), 20)
    .option(
      '--starts <n>',
      'number of times that both engines are started; the pairs are divided among them',
      wholeFrom(1),
      4,
    )
    .option('--turn-ms <ms>', 'approximate time of a turn of training steps', wholeFrom(1), 150)
    .option('--kernel-turn-ms <ms>', 'approximate time of a turn of single operations', wholeFrom(1), 30)
    .option('--warmup <n>', 'untimed steps of ours at the start', wholeFrom(1), 80)
    .option('--seed <n>', 'seed of weights and data', wholeFrom(0), 1)
    .option('--only <sections>', `sections, separated by commas: ${sections.join(',')}`, namesOf(sections), [
      ...sections,
    ])
    .option(
      '--workloads <names>',
      `networks, separated by commas: ${workloadNames.join(',')}`,
      namesOf(workloadNames),
      [...workloadNames],
    )
    .option(
      '--peers <dir>',
      'folder whose node_modules has @tensorflow/tfjs, @tensorflow/tfjs-backend-wasm and @jax-js/jax',
    )
    .option('--python <path>', 'Python with PyTorch')
    .option('--torch-keeps-memory', 'run PyTorch with glibc settings that keep freed memory')
    .option(
      '--torch-allocator <library>',
      'library that PyTorch preloads as its memory allocator, for example the path of libjemalloc.so.2',
    )
    .option('--any-blas', 'allow a PyTorch with the reference BLAS, which is slow')
    .option('--out <file>', 'the JSON file (default: bench/results/peers-<date>.json)')
    .action(async (options: PeersArguments) => {
      const out = options.out ?? `bench/results/peers-${new Date().toISOString().slice(0, 10)}.json`;
      const save = (result: PeersResult): void => {
        mkdirSync(dirname(out), { recursive: true });
        writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`);
      };
      const result = await measurePeers(options, (line) => console.error(line), save);
      console.log(peersTable(result));
      console.log(`wrote ${out} (npm run bench -- chart --from ${out} draws it)`);
    });
}
