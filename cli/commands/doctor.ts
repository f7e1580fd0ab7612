/** `cyclegrad doctor`: which backends work on this machine, with a reason and a fix for each that does not. */
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Command } from 'commander';
import { reference, wasm, type Report } from '../../engine/index.ts';
import {
  adapterName,
  SIMD_KINDS,
  simdName,
  wideSimdUnavailableReason,
  type Simd,
} from '../../engine/tools/index.ts';
import { dataCommand, findCifar10, type Cifar10Location, DATA_HELP } from '../cifar10.ts';
import { formatBytes } from '../terminal/format.ts';
import type { Host } from '../host.ts';
import { tryBackend, type Finding, type GpuDiagnosis, type GpuFinding } from '../probe.ts';
import { path } from '../options/values.ts';
import { ownVersion, runtime } from '../version.ts';

export interface Diagnosis extends GpuDiagnosis {
  readonly cyclegrad: string;
  /** What runs the command. */
  readonly runtime: ReturnType<typeof runtime>;
  /** The version of Node, or the one that another runtime is compatible with. */
  readonly node: { readonly version: string; readonly v8: string } & Finding;
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly wasm: {
    readonly run: Finding;
    readonly report: Report | null;
    readonly sharedMemory: Finding;
    readonly workers: Finding;
    readonly simd: Readonly<Record<Simd, Finding>> & { readonly chosen: string | null };
  };
  readonly reference: Finding;
  readonly cifar10: Cifar10Location;
}

export function addDoctorCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  program
    .command('doctor')
    .description('Check which backends work on this machine, and print a fix for each that does not.')
    .option('--data <dir>', DATA_HELP, path)
    .option('--json', 'print the result as JSON')
    .action(async (options: { readonly data?: string; readonly json?: boolean }) => {
      const diagnosis = await diagnose(options.data, host);
      host.stdout.write(
        options.json === true
          ? `${JSON.stringify(diagnosis, null, 2)}\n`
          : describe(diagnosis, host, options.data),
      );
      setCode(diagnosis.node.works && diagnosis.wasm.run.works && diagnosis.reference.works ? 0 : 1);
    });
}

/** Why 'wide' SIMD is not useful here. It always runs, but is slower without 256-bit vectors. */
function wideSimdFinding(): Finding | null {
  const why = wideSimdUnavailableReason();
  if (why === null) return null;
  return {
    works: false,
    reason: `V8 does not use 256-bit vectors (${why})`,
    fix: 'optional; Node 24 to 26 on an x64 processor with AVX2 (Linux or Windows) trains faster',
  };
}

export async function diagnose(data: string | undefined, host: Host): Promise<Diagnosis> {
  const { run, report } = await tryBackend(() => wasm(), howToEnable());
  const kinds = await Promise.all(
    SIMD_KINDS.map(
      async (simd) =>
        (simd === 'wide' ? wideSimdFinding() : null) ??
        (await tryBackend(() => wasm({ simd, threads: 1 }), howToEnable())).run,
    ),
  );
  return {
    cyclegrad: ownVersion(),
    runtime: runtime(),
    node: { version: process.versions.node, v8: process.versions.v8, ...nodeVersion(process.versions.node) },
    platform: `${process.platform}-${process.arch}`,
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism() },
    memory: { totalBytes: totalMemory(), freeBytes: freemem() },
    wasm: {
      run,
      report,
      sharedMemory: sharedMemory(),
      workers: await workers(),
      simd: {
        plain: kinds[0],
        relaxed: kinds[1],
        wide: kinds[2],
        chosen: report?.backend === 'wasm' ? report.simd : null,
      },
    },
    ...(await host.diagnoseGpu()),
    reference: (await tryBackend(() => Promise.resolve(reference()), howToEnable())).run,
    cifar10: await findCifar10(data, host.cwd),
  };
}

function nodeVersion(version: string): Finding {
  if (Number(version.split('.')[0]) >= 20) return { works: true, detail: version };
  return { works: false, reason: `Node ${version} is too old`, fix: 'install Node 20 or newer' };
}

/** The memory of the machine, or the limit of its container. */
function totalMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

function howToEnable(): string {
  if (typeof WebAssembly === 'undefined') return 'run node without --jitless, which disables WebAssembly';
  return 'use a newer Node; --backend reference works without WebAssembly, but is far slower';
}

function sharedMemory(): Finding {
  try {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    if (memory.buffer instanceof SharedArrayBuffer) return { works: true, detail: 'yes' };
    return { works: false, reason: 'WebAssembly memory is not shared', fix: howToEnable() };
  } catch (error) {
    return {
      works: false,
      reason: error instanceof Error ? error.message : String(error),
      fix: howToEnable(),
    };
  }
}

async function workers(): Promise<Finding> {
  try {
    const worker = new Worker('require("node:worker_threads").parentPort.postMessage(1)', { eval: true });
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`a worker ended with exit code ${code}`)));
    });
    await worker.terminate();
    return { works: true, detail: 'yes' };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { works: false, reason, fix: 'check the memory and process limits of this user or container' };
  }
}

function describe(diagnosis: Diagnosis, host: Host, data: string | undefined): string {
  const { cyclegrad, runtime: program, node, platform, cpu, memory, wasm: cpuBackend, cifar10 } = diagnosis;
  const { report, simd } = cpuBackend;
  const lines = [
    `cyclegrad ${cyclegrad}`,
    '',
    ...entry(program.name, runtimeFinding(program, node)),
    ...entry('platform', yes(platform)),
    ...entry('processor', yes(`${cpu.model}, ${cpu.cores} core${cpu.cores === 1 ? '' : 's'}`)),
    ...entry('memory', yes(`${formatBytes(memory.totalBytes)}, ${formatBytes(memory.freeBytes)} free`)),
    '',
    'backend wasm (CPU)',
    ...entry(
      'runs',
      report === null ? cpuBackend.run : yes(`${report.executor}, ${simdName(report) ?? 'no'} SIMD`),
    ),
    ...(report?.fallback
      ? entry('fallback', { works: false, reason: report.fallback, fix: 'see workers below' })
      : []),
    ...entry('shared memory', cpuBackend.sharedMemory),
    ...entry('workers', cpuBackend.workers),
    ...SIMD_KINDS.flatMap((kind) => {
      const finding = simd[kind];
      const chosen = simd.chosen === kind ? 'yes, chosen' : 'yes';
      return entry(`${kind} SIMD`, finding.works ? yes(chosen) : finding);
    }),
    '',
    'backend reference (slow, for checking)',
    ...entry('runs', diagnosis.reference.works ? yes('yes') : diagnosis.reference),
    '',
    'backend gpu (optional)',
    ...entry('WebGPU', gpuFinding(diagnosis.webgpu)),
    ...entry('WebGL', gpuFinding(diagnosis.webgl)),
    '',
    'data',
    ...entry('CIFAR-10', dataFinding(cifar10, host, data)),
  ];
  return `${lines.join('\n')}\n`;
}

function runtimeFinding({ name, version }: Diagnosis['runtime'], node: Diagnosis['node']): Finding {
  if (!node.works) return node;
  return yes(`${version} (${name === 'node' ? '' : `compatible with Node ${node.version}, `}V8 ${node.v8})`);
}

function gpuFinding({ run, report }: GpuFinding): Finding {
  if (!run.works || report === null) return run;
  return yes(`${adapterName(report) ?? 'an unnamed adapter'}; ${report.executor}`);
}

const yes = (detail: string): Finding => ({ works: true, detail });

function entry(name: string, finding: Finding): string[] {
  const label = `  ${name.padEnd(15)}`;
  if (finding.works) return [`${label}${finding.detail}`];
  return [`${label}no: ${finding.reason}`, `${' '.repeat(label.length)}fix: ${finding.fix}`];
}

function dataFinding(
  { root, dir, missing, problem }: Cifar10Location,
  host: Host,
  data: string | undefined,
): Finding {
  const download = dataCommand(host, data);
  if (problem !== null)
    return { works: false, reason: `${root} ${problem}`, fix: 'pass a folder with --data DIR' };
  if (dir === null) return yes(`not in ${root}; ${download} downloads it, and so does training`);
  if (missing.length === 0) return yes(`in ${dir}`);
  return {
    works: false,
    reason: `${dir} has no ${missing.join(', ')}`,
    fix: `delete that folder and run ${download}`,
  };
}
