/** `cyclegrad evaluate RUN [PATH]`: tests a trained network on images. */
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { imageFiles } from '../../datasets/index.ts';
import { UsageError } from '../failure.ts';
import { EXIT_CODES, type Host } from '../host.ts';
import { addBackendOptions, startBackend, type BackendArguments } from '../options/backend.ts';
import { path } from '../options/values.ts';
import { lazyFor } from '../pictures/memory.ts';
import { heldOut, picturesOf, reading } from '../pictures/read.ts';
import { resultsText, testModel, type Results } from '../pictures/results.ts';
import { loadTrained, readRecord, runOf, type Trained } from '../pictures/run-folder.ts';
import { openSource } from '../pictures/sources.ts';
import { onStopSignal, type Stop } from '../stop.ts';

interface EvaluateArguments extends BackendArguments {
  readonly run?: string;
  readonly json?: boolean;
}

export function addEvaluateCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  addBackendOptions(
    program
      .command('evaluate')
      .argument('[run]', 'folder of a run of train PATH, or its model.safetensors')
      .argument(
        '[path]',
        'folder of images or CSV file, with the classes of the run (default: the test images of the run)',
      )
      .description(
        'Test a network that train PATH trained: accuracy, precision and recall of each class, confusions, mistakes.',
      )
      .option('--run <run>', 'the run, in place of the first argument', path),
  )
    .option('--json', 'print the results as JSON')
    .action(async (first: string | undefined, second: string | undefined, options: EvaluateArguments) => {
      const [run, images] = options.run === undefined ? [first, second] : [options.run, first];
      if (run === undefined) throw new UsageError(`evaluate: name a run: ${host.command('evaluate')} RUN`);
      setCode(await evaluateOnPictures(host, run, images, options));
    });
}

async function evaluateOnPictures(
  host: Host,
  run: string,
  images: string | undefined,
  options: EvaluateArguments,
): Promise<number> {
  const trained = await loadTrained(host, run);
  const stop = onStopSignal(host, { onFirst: () => void host.stderr.write('stopping\n') });
  const backend = await startBackend(host, options);
  try {
    const results = await evaluated(host, trained, backend, images, stop);
    host.stdout.write(
      options.json === true ? `${JSON.stringify(results, null, 2)}\n` : resultsText(results, host.cwd),
    );
    return 0;
  } catch (error) {
    const signal = stop.receivedSignal();
    if (signal === null || (error as Error).name !== 'AbortError') throw error;
    return EXIT_CODES[signal];
  } finally {
    stop.release();
    await backend.close();
  }
}

async function evaluated(
  host: Host,
  trained: Trained,
  backend: Awaited<ReturnType<typeof startBackend>>,
  images: string | undefined,
  stop: Stop,
): Promise<Results> {
  const { size, fit, classes } = trained;
  if (images === undefined) {
    const dir = runOf(trained);
    const record = readRecord(host, dir);
    const pictures = await reading(host, stop, (options) => picturesOf(dir, record, options));
    const { data, files } = heldOut(pictures, 'test');
    return testModel(trained, backend, data, files);
  }
  const { source, data } = await reading(host, stop, async (options) => {
    const found = await openSource(resolve(host.cwd, images), { ...options, classes });
    const files = found.images.map(({ path: file, label }) => ({ path: file, label }));
    const read = await imageFiles(files, {
      ...options,
      height: size,
      width: size,
      fit,
      classes,
      onError: 'skip',
      lazy: lazyFor(files.length, size),
    });
    return { source: found, data: read };
  });
  for (const { path: file, reason } of [...source.problems, ...data.skipped]) {
    host.stderr.write(`left out ${relative(host.cwd, file)}: ${reason}\n`);
  }
  return testModel(trained, backend, data, data.files);
}
