import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataError, fit, forward, loadTensors, ShapeError, wasm, type Shape, type State } from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import { fromOnnx, toOnnx, toTorch } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import * as zoo from 'cyclegrad/zoo';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { python } from './python.ts';
import { difference, mixed, TOLERANCE, waves } from './values.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const backend = await wasm({ threads: 1 });
afterAll(() => backend.close());

/** The weights of PyTorch in a file of onnx_models.py. */
const weightsOf = (tensors: State): State =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, value]) =>
      name.startsWith('state.') && !name.endsWith('num_batches_tracked')
        ? [[name.slice('state.'.length), value]]
        : [],
    ),
  );

describe('files of PyTorch 1.13', () => {
  it.each(['resnet', 'vit'])('compute the outputs of PyTorch: %s', async (name) => {
    const { model, state, inputs } = await fromOnnx(here(`fixtures/${name}.onnx`));
    const { x, y } = await loadTensors(here(`fixtures/${name}.safetensors`));
    expect(difference(y, await forward({ model, state, data: x, backend }))).toBeLessThan(TOLERANCE);
    expect(inputs).toEqual([{ name: 'x', dtype: 'f32', shape: ['N', ...x.shape.slice(1)] }]);
  });

  it('keep the names and layouts of PyTorch in toTorch', async () => {
    const { model, state } = await fromOnnx(here('fixtures/resnet.onnx'));
    const weights = weightsOf(await loadTensors(here('fixtures/resnet.safetensors')));
    const exported = Object.entries(toTorch(model, state, { input: [6, 6, 3] }));
    expect(Object.fromEntries(exported.filter(([name]) => !name.endsWith('num_batches_tracked')))).toEqual(
      weights,
    );
    expect(state['conv1.weight'].shape).toEqual([3, 3, 3, 2]);
    expect(state['layer1._0.bn1.running_mean'].shape).toEqual([2]);
  });

  it('are trained, and batch normalization updates its statistics', async () => {
    const { model, state } = await fromOnnx(here('fixtures/resnet.onnx'));
    const data = loader(arrays(waves([8, 6, 6, 3]), [0, 1, 2, 3, 4, 5, 6, 7], { classes: 10 }), {
      batchSize: 8,
      shuffle: false,
    });
    const losses: number[] = [];
    const result = await fit({
      model,
      initial: state,
      data,
      backend,
      steps: 20,
      optimizer: sgd({ lr: 0.1 }),
      listeners: [(event) => void (event.type === 'step' && losses.push(event.loss))],
    });
    expect(losses[19]).toBeLessThan(0.8 * losses[0]);
    for (const name of ['conv1.weight', 'bn1.bias', 'bn1.running_var', 'fc.weight'])
      expect(result.state[name].data).not.toEqual(state[name].data);
  });
});

describe('files of toOnnx', () => {
  const classes = 10;
  it.each<readonly [string, nn.Layer, Shape]>([
    ['lenet5', zoo.lenet5({ classes }), [28, 28, 1]],
    ['resnet18', zoo.resnet18({ classes, width: 8 }), [32, 32, 3]],
    ['resnet50', zoo.resnet50({ classes, width: 4, stem: 'cifar' }), [8, 8, 3]],
    ['resnet20', zoo.resnet20({ classes, mean: [1, 2, 3], std: [4, 5, 6] }), [8, 8, 3]],
    ['wideResnet', zoo.wideResnet({ classes, depth: 16, widen: 1 }), [16, 16, 3]],
    ['densenet', zoo.densenet({ classes, depth: 10, growth: 4 }), [16, 16, 3]],
    ['mobilenetV2', zoo.mobilenetV2({ classes, width: 0.25 }), [32, 32, 3]],
    ['convnext', zoo.convnext({ classes, widths: [8, 16, 24, 32], blocks: [1, 1, 1, 1] }), [32, 32, 3]],
    ['vit', zoo.vit({ classes, size: 16, patch: 8, width: 16, depth: 1, heads: 2 }), [16, 16, 3]],
    ['unet', zoo.unet({ classes: 2, width: 4 }), [16, 16, 3]],
    ['detector', zoo.detector({ classes: 3, anchors: 1, width: 4 }), [32, 32, 3]],
  ])('give the model back: %s', async (_, model, input) => {
    const state = mixed(model);
    const again = await fromOnnx(await toOnnx(model, state, { input }));
    const data = waves([3, ...input]);
    const [ours, theirs] = [
      await forward({ model, state, data, backend }),
      await forward({ model: again.model, state: again.state, data, backend }),
    ];
    expect(difference(ours, theirs)).toBeLessThan(TOLERANCE);
    expect(nn.countParameters(again.model)).toBe(nn.countParameters(model));
    const trained = Object.keys(model.params).filter((name) => model.params[name].frozen !== true);
    expect(Object.keys(again.state)).toEqual(expect.arrayContaining(trained));
  });
});

const CASES = [
  'lenet5:9',
  'resnet:13',
  'resnet:13:training',
  'densenet:11',
  'mobilenet:12',
  'convnext:14',
  'vit:10',
  'vit:14',
  'vit:17',
  'unet:15',
  'decoder:11',
  'decoder:16',
  'shapes:9',
  'shapes:13',
  'shapes:17',
  'sequence:13',
  'sequence:17:training',
];

describe.skipIf(python === undefined || !isLong)(`torch.onnx.export (${LONG})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-onnx-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(() => {
    execFileSync(python!, ['-W', 'ignore', here('onnx_models.py'), folder, ...CASES], { stdio: 'ignore' });
  }, 120_000);

  it.each(CASES)('%s', async (name) => {
    const path = join(folder, name.replaceAll(':', '-'));
    const { x, y } = await loadTensors(`${path}.safetensors`);
    const { model, state } = await fromOnnx(`${path}.onnx`);
    expect(difference(y, await forward({ model, state, data: x, backend }))).toBeLessThan(TOLERANCE);
  });
});

/** The bytes with a text replaced by another of the same length. */
function replaced(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const latin = Buffer.from(bytes).toString('latin1');
  expect(latin).toContain(from);
  return Uint8Array.from(Buffer.from(latin.replaceAll(from, to), 'latin1'));
}

describe('fromOnnx refuses', () => {
  const bytes = Uint8Array.from(readFileSync(here('fixtures/resnet.onnx')));
  it.each([
    ['bytes of another file', new TextEncoder().encode('no model'), 'fromOnnx: the bytes '],
    ['no bytes', new Uint8Array(0), 'fromOnnx: the bytes hold no ONNX graph'],
    ['a truncated file', bytes.subarray(0, bytes.length / 2), 'fromOnnx: the bytes are no ONNX model'],
    [
      'an operator that is not supported',
      replaced(bytes, 'Relu', 'Rule'),
      "fromOnnx: these operators of operator set 13 are not supported: Rule (node '/Rule'), Rule (node",
    ],
    [
      'an unknown attribute',
      replaced(bytes, 'strides', 'stripes'),
      "fromOnnx: node '/conv1/Conv' (Conv, operator set 13): attribute stripes is not supported (supported: auto_pad,",
    ],
    ['a missing file', 'no-such.onnx', 'fromOnnx: no-such.onnx: cannot be read: ENOENT'],
  ])('%s', async (_, source, message) => {
    const error = await fromOnnx(source).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message.slice(0, message.length)).toBe(message);
  });

  it('an input with the channels first', async () => {
    const { model, state } = await fromOnnx(bytes);
    const run = forward({ model, state, data: waves([2, 3, 6, 6]), backend });
    await expect(run).rejects.toThrow(ShapeError);
    await expect(run).rejects.toThrow(
      "fromOnnx: input 'x' must be f32 [N, 6, 6, 3], got f32 [2,3,6,6] (the channels must be last: transpose(x, [0, 2, 3, 1]))",
    );
  });

  it('an input of a size that the graph does not fit, with the node', async () => {
    const model = nn.sequential({ flat: nn.flatten(), fc: nn.dense(12, 2) });
    const bytes = await toOnnx(model, nn.initState(model, null, 1), { input: [2, 6] });
    const { model: again, state } = await fromOnnx(bytes);
    const run = forward({ model: again, state, data: waves([2, 3, 6]), backend });
    await expect(run).rejects.toThrow("fromOnnx: input 'x' must be f32 [N, 2, 6], got f32 [2,3,6]");
  });
});
