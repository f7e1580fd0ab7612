/** `cyclegrad predict RUN FILE…`: classifies images with a trained network. */
import { relative } from 'node:path';
import type { Command } from 'commander';
import { UsageError, EXIT_FAILURE } from '../failure.ts';
import { EXIT_CODES, type Host } from '../host.ts';
import { addBackendOptions, startBackend, type BackendArguments } from '../options/backend.ts';
import { path } from '../options/values.ts';
import { findFiles, predictFiles, predictionText } from '../pictures/predict.ts';
import { loadTrained } from '../pictures/run-folder.ts';
import { onStopSignal } from '../stop.ts';

interface PredictArguments extends BackendArguments {
  readonly run?: string;
  readonly json?: boolean;
}

export function addPredictCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  addBackendOptions(
    program
      .command('predict')
      .argument('[run]', 'folder of a run of train PATH, or its model.safetensors')
      .argument('[files...]', 'images, folders, and patterns such as "photos/**/*.jpg"')
      .description('Classify images with a network that train PATH trained.')
      .option('--run <run>', 'the run, in place of the first argument', path),
  )
    .option('--json', 'print the classes and all probabilities as JSON')
    .action(async (first: string | undefined, rest: readonly string[], options: PredictArguments) => {
      const words = first === undefined ? rest : [first, ...rest];
      const [run, ...files] = options.run === undefined ? words : [options.run, ...words];
      setCode(await predictOnPictures(host, run, files, options));
    });
}

async function predictOnPictures(
  host: Host,
  run: string | undefined,
  given: readonly string[],
  options: PredictArguments,
): Promise<number> {
  const usage = `${host.command('predict')} RUN FILE…`;
  if (run === undefined) throw new UsageError(`predict: name a run and images: ${usage}`);
  if (given.length === 0) throw new UsageError(`predict: name the images to classify: ${usage}`);
  const trained = await loadTrained(host, run);
  const candidates = await findFiles(host.cwd, given);
  const named = new Set(candidates.filter(({ isNamed }) => isNamed).map(({ path: file }) => file));
  const stop = onStopSignal(host, { onFirst: () => void host.stderr.write('stopping\n') });
  const backend = await startBackend(host, options);
  try {
    const results = await predictFiles(
      trained,
      backend,
      candidates.map(({ path: file }) => file),
      stop.signal,
    );
    const predictions = results.flatMap((one) => ('error' in one ? [] : [one]));
    const failed = results.flatMap((one) => ('error' in one ? [one] : []));
    if (options.json === true) {
      const shown = [...predictions, ...failed].map((one) => ({
        ...one,
        file: relative(host.cwd, one.file),
      }));
      host.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
    } else {
      for (const one of predictions) host.stdout.write(`${predictionText(one, host.cwd)}\n`);
    }
    for (const { file, error } of failed)
      host.stderr.write(`left out ${relative(host.cwd, file)}: ${error}\n`);
    if (predictions.length === 0 || failed.some(({ file }) => named.has(file))) return EXIT_FAILURE;
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
