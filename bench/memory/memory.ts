/** Peak memory of training Caffe's network, and the time until the first step. Each measurement uses a new process. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Report } from '../../engine/index.ts';
import { environment } from '../environment.ts';
import { summary, table, type Summary } from '../measure.ts';
import { deliver, wholeFrom } from '../options.ts';
import { expectReport } from '../ours.ts';

interface ChildResult {
  readonly nodeMs: number;
  readonly importMs: number;
  readonly fromImportMs: number;
  readonly fromProcessMs: number;
  readonly firstStepMs: number;
  readonly peakBytes: number;
  readonly report: Report;
}

export interface MemoryResult {
  readonly report: Report;
  /** Peak resident set of the process, with one batch of images and with as many as the training set of CIFAR-10. */
  readonly peakBytes: { readonly oneBatch: number; readonly cifar10: number };
  /** Milliseconds until the first step, without the data, over `repeats` processes. */
  readonly startup: {
    readonly repeats: number;
    readonly importMs: Summary;
    readonly fromImportMs: Summary;
    readonly fromProcessMs: Summary;
    readonly firstStepMs: Summary;
  };
}

const CIFAR10_IMAGES = 50_000;

function runChild(steps: number, images: number, threads: number): ChildResult {
  const script = fileURLToPath(new URL('./child.js', import.meta.url));
  const args = [script, ...[steps, images, threads].map(String)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 24,
  });
  if (status !== 0) throw new Error(`the measured process ended with exit code ${String(status)}: ${stderr}`);
  const result = JSON.parse(stdout) as ChildResult;
  expectReport(result.report, { backend: 'wasm', threads });
  return result;
}

export function measureMemory(threads: number, repeats: number): MemoryResult {
  const starts = Array.from({ length: repeats }, () => runChild(1, 100, threads));
  const summarize = (pick: (one: ChildResult) => number): Summary => summary(starts.map(pick));
  const oneBatch = runChild(20, 100, threads);
  const cifar10 = runChild(20, CIFAR10_IMAGES, threads);
  return {
    report: oneBatch.report,
    peakBytes: { oneBatch: oneBatch.peakBytes, cifar10: cifar10.peakBytes },
    startup: {
      repeats,
      importMs: summarize((one) => one.importMs),
      fromImportMs: summarize((one) => one.fromImportMs),
      fromProcessMs: summarize((one) => one.fromProcessMs),
      firstStepMs: summarize((one) => one.firstStepMs),
    },
  };
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

export function memoryTable({ peakBytes, startup }: MemoryResult): string {
  const ms = ({ min, median }: Summary): string => `${median.toFixed(0)} ms (minimum ${min.toFixed(0)})`;
  return table(
    ['quantity', 'value'],
    [
      ['peak memory, one batch of data', megabytes(peakBytes.oneBatch)],
      [`peak memory, ${CIFAR10_IMAGES.toLocaleString('en')} images`, megabytes(peakBytes.cifar10)],
      ['import', ms(startup.importMs)],
      ['from import to the first step', ms(startup.fromImportMs)],
      ['from the start of Node to the first step', ms(startup.fromProcessMs)],
      ['first step', ms(startup.firstStepMs)],
    ],
  );
}

export function addMemoryBenchmark(program: Command): void {
  program
    .command('memory')
    .description(
      "Measure the peak memory of training Caffe's CIFAR-10 network at batch 100, and the time until the first step.",
    )
    .option('--threads <n>', 'threads of the wasm backend', wholeFrom(1), availableParallelism())
    .option('--repeats <n>', 'number of processes for the times', wholeFrom(1), 7)
    .option('--json [file]', 'write the result as JSON to the file, or to stdout')
    .action(({ threads, repeats, json }: { threads: number; repeats: number; json?: string | true }) => {
      const where = environment();
      const measured = measureMemory(threads, repeats);
      const config = { net: 'caffeFull', batchSize: 100, threads, repeats };
      deliver({ benchmark: 'memory', ...where, config, ...measured }, memoryTable(measured), json);
    });
}
