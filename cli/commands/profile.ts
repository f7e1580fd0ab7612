/** `cyclegrad profile`: the time of a training step, with one line for each step of its plan. */
import type { Command } from 'commander';
import { loader, meanImage, synthetic } from '../../datasets/index.ts';
import {
  checkFinite,
  compile,
  accuracy,
  crossEntropy,
  i32,
  u8,
  type Backend,
  type Compiled,
  type Feeds,
  type Report,
} from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import {
  adapterName,
  formatProfile,
  measureLimits,
  simdName,
  summarizeProfile,
  type ProfileSummary,
  type StepTime,
} from '../../engine/tools/index.ts';
import { sgd } from '../../optim/index.ts';
import { addBackendOptions, startBackend, type BackendArguments } from '../options/backend.ts';
import type { Host } from '../host.ts';
import { addNetOptions, NETS, type NetArguments } from '../options/nets.ts';
import { whole } from '../options/values.ts';
import { ownVersion } from '../version.ts';

interface ProfileArguments extends BackendArguments, NetArguments {
  readonly steps: number;
  readonly warmup: number;
  readonly limit: boolean;
  readonly json?: boolean;
}

export function addProfileCommand(program: Command, host: Host): void {
  addNetOptions(addBackendOptions(program.command('profile')))
    .description(
      "Profile a training step of Caffe's CIFAR-10 network: the time of each operation of its plan, and its\n" +
        "fraction of this machine's peak. The images are synthetic.",
    )
    .option('--steps <n>', 'number of profiled updates, which are averaged', whole(1, 100_000), 20)
    // V8 optimizes the kernels one by one, some after tens of updates.
    .option('--warmup <n>', 'number of updates before them', whole(0), 60)
    .option('--no-limit', 'do not measure the peak of this machine')
    .option('--json', 'print the result as JSON')
    .action(async (options: ProfileArguments) => {
      const { net, batchSize, steps, warmup } = options;
      const backend = await startBackend(host, options);
      try {
        const { summary, report } = await profileStep(backend, options);
        if (options.json === true) {
          const config = { net, batchSize, steps, warmup };
          const result = { cyclegrad: ownVersion(), node: process.versions.node, config, report, ...summary };
          host.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
        } else {
          host.stdout.write(
            `${net}, batch ${batchSize}: ${describeReport(report)}` +
              `${report.fallback === null ? '' : `, fallback: ${report.fallback}`}\n\n${formatProfile(summary)}\n`,
          );
        }
      } finally {
        await backend.close();
      }
    });
}

/** The executor, and the adapter or the kind of SIMD. */
const describeReport = (report: Report): string =>
  `${report.executor}, ${adapterName(report) ?? `${simdName(report) ?? 'no'} SIMD`}`;

async function profileStep(
  backend: Backend,
  { net, batchSize, steps, warmup, limit }: ProfileArguments,
): Promise<{ readonly summary: ProfileSummary; readonly report: Report }> {
  const images = synthetic({ kind: 'images', n: Math.max(batchSize, 100), seed: 1 });
  const model = NETS[net]({ mean: meanImage(images) });
  const { indices } = loader(images, { batchSize, shuffle: false }).batch(0);
  const x = new Uint8Array(batchSize * 32 * 32 * 3);
  const y = new Int32Array(batchSize);
  images.read(indices, x, y);
  const step = await compileStep(backend, model, batchSize);
  try {
    const feeds = (k: number): Feeds => ({ x, y, step: k, ...optimizer.at(k) });
    const profiles: (readonly StepTime[])[] = [];
    for (let k = 0; k < warmup; k++) await step.run(feeds(k));
    for (let k = 0; k < steps; k++) profiles.push(await step.profile(feeds(warmup + k)));
    const { report } = step;
    // The limits are those of the processor.
    const limits =
      limit && report.backend === 'wasm'
        ? await measureLimits({ threads: report.threads, simd: report.simd })
        : null;
    return { summary: summarizeProfile(step.plan, profiles, limits), report };
  } finally {
    await step.close();
  }
}

const optimizer = sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' });

/** The training step, with a fed batch. */
function compileStep(backend: Backend, model: nn.Layer, batchSize: number): Promise<Compiled> {
  return compile(backend, {
    inputs: { x: u8(batchSize, 32, 32, 3), y: i32(batchSize) },
    hyper: Object.keys(optimizer.at(0)),
    state: nn.initState(model, optimizer, 1),
    build({ x, y, step, hyper }, state) {
      const { output, updates } = nn.bind(model, state, { training: true, step })(x);
      const loss = checkFinite(crossEntropy(output, y), 'the loss');
      const next = { ...updates, ...nn.applyGradients(optimizer, model, state, loss, hyper) };
      return { outputs: { loss, accuracy: accuracy(output, y) }, next };
    },
  });
}
