/** Weights of another network as the start of training. */
import { existsSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { latestCheckpoint, loadMetadata, loadTensors, type State } from '../../engine/index.ts';
import { fromTorch, toTorch } from '../../engine/interop/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { UsageError } from '../failure.ts';
import { modelIn, modelPath, type ModelRecord } from './run-folder.ts';

export interface Transfer {
  /** The arrays to begin with. */
  readonly initial: State;
  /** Arrays of the network that the file does not have, or in another shape, and why. */
  readonly missing: readonly { readonly name: string; readonly why: string }[];
  /** Arrays of the file that the network does not have. */
  readonly unused: readonly string[];
}

/** The path of the weights that `--from` names: a file, or those of a run. Throws UsageError if there are none. */
export async function transferFile(cwd: string, from: string): Promise<string> {
  const path = resolve(cwd, from);
  if (!existsSync(path)) throw new UsageError(`--from ${from}: there is no such file or folder`);
  if (!statSync(path).isDirectory()) {
    if (/\.(pt|pth|bin|ckpt|pkl)$/i.test(path)) {
      throw new UsageError(
        `--from ${from}: this is a pickle of PyTorch, which can run any program (save it with safetensors: ` +
          'safetensors.torch.save_file(model.state_dict(), "model.safetensors"))',
      );
    }
    return path;
  }
  if (existsSync(modelPath(path))) return modelPath(path);
  const checkpoint = await latestCheckpoint(path);
  if (checkpoint !== null) return checkpoint;
  throw new UsageError(
    `--from ${from}: the folder has no model and no checkpoint (pass the folder of a run, or a safetensors file)`,
  );
}

/** The network that a file of weights belongs to, if the file says it. Throws UsageError for a file of another kind. */
export async function modelOf(cwd: string, path: string): Promise<ModelRecord | null> {
  try {
    return modelIn(await loadMetadata(path));
  } catch (cause) {
    throw new UsageError(
      `--from ${relative(cwd, path)}: cannot be read: ${(cause as Error).message} (pass the folder of a run, or a safetensors file)`,
      { cause },
    );
  }
}

/** The arrays of a file for a network with other classes: those whose names and shapes agree. */
export async function transfer(
  path: string,
  build: (classes: number) => nn.Layer,
  classes: number,
  size: number,
): Promise<Transfer> {
  const layer = build(classes);
  const read = await loadTensors(path);
  const tensors = fromTorchNames(read, build, classes, size) ?? read;
  const initial: Record<string, State[string]> = {};
  const missing: { name: string; why: string }[] = [];
  for (const [name, { shape }] of Object.entries(layer.params)) {
    const value = tensors[name];
    if (value === undefined) missing.push({ name, why: 'the file does not have it' });
    else if (String(value.shape) !== String(shape)) {
      missing.push({ name, why: `it is [${shape.join(', ')}], but [${value.shape.join(', ')}] in the file` });
    } else initial[name] = value;
  }
  const unused = Object.keys(tensors).filter(
    (name) => !(name in layer.params) && !name.startsWith('optimizer/'),
  );
  return { initial, missing, unused };
}

/**
 * The arrays under our names, if the file is that of this network in PyTorch, with any number of classes. Null otherwise.
 */
function fromTorchNames(
  read: State,
  build: (classes: number) => nn.Layer,
  classes: number,
  size: number,
): State | null {
  const options = { input: [size, size, 3] };
  const shapesOf = (count: number): State => {
    const layer = build(count);
    return toTorch(layer, nn.initState(layer, null, 0), options);
  };
  const [ours, other] = [shapesOf(classes), shapesOf(classes + 1)];
  // The arrays of the last layer are those whose shape depends on the number of classes.
  const head = Object.keys(ours).find((name) => String(ours[name].shape) !== String(other[name].shape));
  if (
    head === undefined ||
    read[head] === undefined ||
    !Object.keys(ours).every((name) => name in read || name.endsWith('num_batches_tracked'))
  ) {
    return null;
  }
  if (Object.keys(build(classes).params).every((name) => name in read)) return null; // our own names
  const [theirs] = read[head].shape;
  const known = Object.fromEntries(Object.entries(read).filter(([name]) => name in ours));
  return fromTorch(build(theirs), known, options);
}

/** The names of the parameters of a network besides those of its last layer, for freezing. */
export function bodyOf(build: (classes: number) => nn.Layer, classes: number): readonly string[] {
  const [ours, other] = [build(classes), build(classes + 1)];
  return Object.entries(ours.params)
    .filter(
      ([name, { shape, frozen }]) => frozen !== true && String(shape) === String(other.params[name].shape),
    )
    .map(([name]) => name);
}
