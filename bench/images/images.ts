/** Images decoded and resized per second, beside the DataLoader of PyTorch on the same files. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { imageFolder, type Dataset } from '../../datasets/index.ts';
import { environment, packageFolder } from '../environment.ts';
import { summary, table, type Summary } from '../measure.ts';
import { deliver, wholeFrom } from '../options.ts';
import { writePictures } from './pictures.ts';

interface Pass {
  readonly s: number;
  readonly images: number;
  /** The mean of all components of the first batch. */
  readonly mean: number;
}

/** What reads all images once. */
interface Arm {
  readonly versions: Readonly<Record<string, string>>;
  pass(): Promise<Pass>;
  close(): void;
}

interface Options {
  readonly dir?: string;
  readonly count: number;
  readonly size: number;
  readonly batchSize: number;
  readonly workers: number;
  readonly rounds: number;
  readonly python?: string;
  readonly json?: string | true;
}

/** Batches that are read at the same time: the one of the step and those ahead of it. */
const PENDING = 3;

/** The means of PIL, which rounds between rows and columns, and of ours may differ by this. */
const TOLERANCE = 0.5;

async function ours(dir: string, { size, batchSize, workers }: Options): Promise<Arm> {
  const dataset = await imageFolder(dir, { height: size, width: size, lazy: { memory: 0, workers } });
  return { versions: {}, pass: () => readAll(dataset, batchSize, 3 * size * size), close: () => undefined };
}

async function readAll(dataset: Dataset, batchSize: number, item: number): Promise<Pass> {
  const begin = performance.now();
  let mean = 0;
  let first = 0;
  const readOn = async (): Promise<void> => {
    const x = new Uint8Array(batchSize * item);
    const y = new Int32Array(batchSize);
    while (first < dataset.length) {
      const start = first;
      const count = Math.min(batchSize, dataset.length - start);
      first += count;
      await dataset.read(
        Uint32Array.from({ length: count }, (_, i) => start + i),
        x,
        y,
      );
      if (start === 0)
        mean = x.subarray(0, count * item).reduce((sum, value) => sum + value, 0) / (count * item);
    }
  };
  await Promise.all(Array.from({ length: PENDING }, readOn));
  return { s: (performance.now() - begin) / 1000, images: dataset.length, mean };
}

/** A Python process, which sleeps between passes. */
async function torch(dir: string, { size, batchSize, workers, python }: Options): Promise<Arm> {
  const script = fileURLToPath(new URL('bench/images/torch_images.py', packageFolder()));
  const args = [script, dir, ...[size, size, batchSize, workers].map(String)];
  const child = spawn(python!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const answer = async <T>(): Promise<T> => {
    const line = await Promise.race([lines.next(), failed]);
    if (line.done === true) throw new Error(`${python}: torch_images.py ended (its message is above)`);
    return JSON.parse(line.value) as T;
  };
  return {
    versions: await answer<Record<string, string>>(),
    pass() {
      child.stdin.write('\n');
      return answer<Pass>();
    },
    close: () => child.stdin.end(),
  };
}

interface ImagesResult {
  readonly images: number;
  /** Images per second. */
  readonly ours: Summary;
  readonly torch: (Summary & { readonly versions: Readonly<Record<string, string>> }) | null;
  /** Ours divided by PyTorch's in each round. */
  readonly ratio: Summary | null;
}

async function measureImages(dir: string, options: Options): Promise<ImagesResult> {
  const arms = [await ours(dir, options)];
  try {
    if (options.python !== undefined) arms.push(await torch(dir, options));
    const rates = arms.map((): number[] => []);
    let images = 0;
    for (let round = -1; round < options.rounds; round++) {
      const passes: Pass[] = [];
      // One after another: both use all cores.
      for (const arm of arms) passes.push(await arm.pass());
      const [own, other = own] = passes;
      if (own.images !== other.images || Math.abs(own.mean - other.mean) > TOLERANCE) {
        throw new Error(
          `images: the arms read other pixels: ${own.images} images with the mean ${own.mean}, ${other.images} with ${other.mean}`,
        );
      }
      images = own.images;
      // The first pass fills the cache of the file system and starts the workers.
      if (round >= 0) passes.forEach((pass, arm) => rates[arm].push(pass.images / pass.s));
    }
    const [own, other] = rates;
    return {
      images,
      ours: summary(own),
      torch: other === undefined ? null : { ...summary(other), versions: arms[1].versions },
      ratio: other === undefined ? null : summary(own.map((rate, i) => rate / other[i])),
    };
  } finally {
    for (const arm of arms) arm.close();
  }
}

function imagesTable({ ours: own, torch: other, ratio }: ImagesResult): string {
  const cells = ({ min, median }: Summary): string[] => [median.toFixed(1), min.toFixed(1)];
  const rows = [['cyclegrad', ...cells(own)]];
  if (other !== null) rows.push([`PyTorch ${other.versions['torch']}`, ...cells(other)]);
  if (ratio !== null) rows.push(['ratio', ratio.median.toFixed(2), ratio.min.toFixed(2)]);
  return table(['images per second', 'median', 'minimum'], rows);
}

export function addImagesBenchmark(program: Command): void {
  program
    .command('images')
    .description('Measure how many images of a folder are decoded and resized per second.')
    .option('--dir <folder>', 'an image folder (default: generated JPEG files of 500 x 375)')
    .option('--count <n>', 'number of generated images', wholeFrom(1), 600)
    .option('--size <pixels>', 'height and width of the resized images', wholeFrom(1), 224)
    .option('--batch-size <n>', 'images per batch', wholeFrom(1), 64)
    .option('--workers <n>', 'images that are decoded at the same time', wholeFrom(1), availableParallelism())
    .option('--rounds <n>', 'number of passes over the images', wholeFrom(1), 7)
    .option('--python <path>', 'also measure torchvision with this Python')
    .option('--json [file]', 'write the result as JSON to the file, or to stdout')
    .action(async (options: Options) => {
      const where = environment();
      const { dir, python: _, json, ...config } = options;
      const temporary = dir === undefined ? mkdtempSync(join(tmpdir(), 'cyclegrad-images-')) : null;
      try {
        if (temporary !== null) await writePictures(temporary, options.count);
        const measured = await measureImages(resolve(dir ?? temporary!), options);
        deliver({ benchmark: 'images', ...where, config, ...measured }, imagesTable(measured), json);
      } finally {
        if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
      }
    });
}
