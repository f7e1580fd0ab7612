/** `cyclegrad export RUN --to FORMAT`: a trained network for other programs. */
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { saveTensors } from '../../engine/index.ts';
import { toOnnx, toTorch } from '../../engine/interop/index.ts';
import { UsageError } from '../failure.ts';
import type { Host } from '../host.ts';
import { path } from '../options/values.ts';
import { copyEngine, writePage } from '../pictures/page.ts';
import { loadTrained, runOf, type Trained } from '../pictures/run-folder.ts';

const FORMATS = ['onnx', 'torch', 'browser'] as const;
type Format = (typeof FORMATS)[number];

interface ExportArguments {
  readonly to: Format;
  readonly out?: string;
  readonly run?: string;
}

export function addExportCommand(program: Command, host: Host): void {
  program
    .command('export')
    .argument('[run]', 'folder of a run of train PATH, or its model.safetensors')
    .description('Export a network that train PATH trained.')
    .addOption(
      new Option(
        '--to <format>',
        'onnx: for ONNX Runtime; torch: for PyTorch; browser: a web page with the network',
      )
        .choices(FORMATS)
        .makeOptionMandatory(),
    )
    .option(
      '--out <dir>',
      'the folder to write, which must be empty or missing (default: FORMAT in the folder of the run)',
      path,
    )
    .option('--run <run>', 'the run, in place of the argument', path)
    .action(async (given: string | undefined, options: ExportArguments) => {
      const run = options.run ?? given;
      if (run === undefined)
        throw new UsageError(`export: name a run: ${host.command('export')} RUN --to ${options.to}`);
      const trained = await loadTrained(host, run);
      const dir = resolve(host.cwd, options.out ?? join(runOf(trained), options.to));
      checkEmpty(host, dir);
      mkdirSync(dir, { recursive: true });
      const text = await WRITERS[options.to](dir, trained, host);
      const files = readdirSync(dir).map((name) =>
        statSync(join(dir, name)).isDirectory() ? `${name}/` : name,
      );
      host.stdout.write(`${relative(host.cwd, dir) || '.'}: ${files.join(', ')}\n`);
      host.stderr.write(text);
    });
}

function checkEmpty(host: Host, dir: string): void {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new UsageError(
      `${relative(host.cwd, dir)}: cannot be the folder of the export: ${(error as Error).message}`,
    );
  }
  if (names.length > 0) {
    throw new UsageError(
      `${relative(host.cwd, dir)} is not empty (remove it, or name another folder: --out DIR)`,
    );
  }
}

/** What programs must know about the images. */
const description = ({ size, fit, classes }: Trained): object => ({ size, fit, classes });

const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** Each writes the files, and returns what the user has to know. */
const WRITERS: Readonly<Record<Format, (dir: string, trained: Trained, host: Host) => Promise<string>>> = {
  onnx: async (dir, trained) => {
    const { layer, state, size } = trained;
    writeFileSync(
      join(dir, 'model.onnx'),
      await toOnnx(layer, state, { input: [size, size, 3], dtype: 'u8' }),
    );
    writeFileSync(join(dir, 'model.json'), json(description(trained)));
    return (
      `The input x is uint8 [N, ${size}, ${size}, 3]: red, green and blue from 0 to 255, which the network normalizes itself.\n` +
      `The output y is float32 [N, ${trained.classes.length}]: logits in the order of the classes in model.json.\n`
    );
  },
  torch: async (dir, trained) => {
    const { layer, state, size, model } = trained;
    const { mean, std } = statistics(trained);
    await saveTensors(join(dir, 'model.safetensors'), toTorch(layer, state, { input: [size, size, 3] }), {
      metadata: { format: 'pt' },
    });
    writeFileSync(join(dir, 'model.json'), json({ model, ...description(trained), mean, std }));
    return (
      'model.safetensors is a state_dict, with the names and layouts of PyTorch: load_file of safetensors.torch reads it.\n' +
      'The network does not normalize the images there: subtract mean and divide by std of model.json, in units of 0 to 255.\n'
    );
  },
  browser: async (dir, trained, host) => {
    copyEngine(host.browserBuild, join(dir, 'cyclegrad'));
    writePage(dir, trained);
    const weights = Object.fromEntries(
      Object.keys(trained.layer.params).map((name) => [name, trained.state[name]]),
    );
    await saveTensors(join(dir, 'model.safetensors'), weights);
    return 'Serve the folder with any web server and open index.html. classify.js has the function for pages of your own.\n';
  },
};

/** What the first layer subtracts, and what it divides by. */
function statistics({ state }: Trained): {
  readonly mean: readonly number[];
  readonly std: readonly number[];
} {
  return {
    mean: Array.from(state['input.mean'].data),
    std: Array.from(state['input.scale'].data, (scale) => 1 / scale),
  };
}
