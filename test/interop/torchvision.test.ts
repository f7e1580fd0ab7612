/**
 * ONNX files between cyclegrad and PyTorch's world: models of torchvision with random weights in, and our files through the checker of the
 * onnx package. CYCLEGRAD_PYTHON names a Python that has these packages.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forward, loadTensors, wasm, type Shape } from 'cyclegrad';
import { fromOnnx, toOnnx } from 'cyclegrad/interop';
import type * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { afterAll, describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { pythonWith } from './python.ts';
import { difference, mixed, TOLERANCE } from './values.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-torchvision-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MODELS = [
  'resnet18',
  'resnext50_32x4d',
  'regnet_x_400mf',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'mnasnet0_5',
  'shufflenet_v2_x0_5',
  'efficientnet_b0',
  'efficientnet_v2_s',
  'vit_b_16',
  'swin_t',
  'convnext_tiny',
  'squeezenet1_1',
  'densenet121',
  'googlenet',
  'inception_v3',
  'segmentation.lraspp_mobilenet_v3_large',
  'segmentation.fcn_resnet50',
  'segmentation.deeplabv3_mobilenet_v3_large',
];

const vision = pythonWith('torch', 'torchvision');
const backend = await wasm({ threads: 1 });
afterAll(() => backend.close());

describe.skipIf(vision === undefined || !isLong)(
  `fromOnnx of torchvision (CYCLEGRAD_PYTHON, ${LONG})`,
  () => {
    it.each(MODELS)(
      'computes the outputs of %s',
      async (name) => {
        execFileSync(vision!, [here('torchvision_models.py'), folder, name], { stdio: 'ignore' });
        const { x, y } = await loadTensors(join(folder, `${name}.safetensors`));
        const { model, state } = await fromOnnx(join(folder, `${name}.onnx`));
        expect(Math.max(...y.data)).toBeGreaterThan(0);
        expect(difference(y, await forward({ model, state, data: x, backend }))).toBeLessThan(TOLERANCE);
        for (const ending of ['onnx', 'safetensors']) rmSync(join(folder, `${name}.${ending}`));
      },
      300_000,
    );
  },
);

const checker = pythonWith('onnx');
const classes = 10;
const WRITTEN: readonly (readonly [string, nn.Layer, Shape])[] = [
  ['lenet5', zoo.lenet5({ classes }), [28, 28, 1]],
  ['resnet18', zoo.resnet18({ classes, width: 8 }), [32, 32, 3]],
  ['resnet20', zoo.resnet20({ classes, mean: [1, 2, 3], std: [4, 5, 6] }), [32, 32, 3]],
  ['densenet', zoo.densenet({ classes, depth: 10, growth: 4 }), [32, 32, 3]],
  ['mobilenetV2', zoo.mobilenetV2({ classes, width: 0.25 }), [32, 32, 3]],
  ['convnext', zoo.convnext({ classes, widths: [8, 16, 24, 32], blocks: [1, 1, 1, 1] }), [32, 32, 3]],
  ['vit', zoo.vit({ classes, size: 16, patch: 8, width: 16, depth: 1, heads: 2 }), [16, 16, 3]],
  ['unet', zoo.unet({ classes: 2, width: 4 }), [16, 16, 3]],
  ['detector', zoo.detector({ classes: 3, anchors: 1, width: 4 }), [32, 32, 3]],
];

describe.skipIf(checker === undefined)(
  'toOnnx and the checker of the onnx package (CYCLEGRAD_PYTHON)',
  () => {
    it.each(WRITTEN)('accept each other: %s', async (name, model, input) => {
      const path = join(folder, `${name}.onnx`);
      writeFileSync(path, await toOnnx(model, mixed(model), { input }));
      expect(execFileSync(checker!, ['-W', 'ignore', here('onnx_check.py'), path]).toString()).toBe('');
    });
  },
);
