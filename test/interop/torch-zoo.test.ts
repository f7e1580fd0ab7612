import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forward, loadTensors, saveTensors, wasm, type Shape } from 'cyclegrad';
import { fromTorch, toTorch } from 'cyclegrad/interop';
import type * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { python } from './python.ts';
import { difference, mixed, TOLERANCE, waves } from './values.ts';

const script = fileURLToPath(new URL('torch_models.py', import.meta.url));
/** A model by its name in the script, and the shape of an example. */
type Case = readonly [string, nn.Layer, Shape];

const CIFAR: Shape = [32, 32, 3];
const SMALL_IMAGES: Shape = [64, 64, 3];
const classes = 10;

const SMALL: readonly Case[] = [
  ['lenet5', zoo.lenet5({ classes }), [28, 28, 1]],
  ['resnet18 of width 8', zoo.resnet18({ classes, width: 8 }), CIFAR],
  ['resnet50 of width 4, CIFAR stem', zoo.resnet50({ classes, width: 4, stem: 'cifar' }), [8, 8, 3]],
  ['resnet20', zoo.resnet20({ classes }), [8, 8, 3]],
  ['WRN-16-1', zoo.wideResnet({ classes, depth: 16, widen: 1 }), [16, 16, 3]],
  ['DenseNet-10-4', zoo.densenet({ classes, depth: 10, growth: 4 }), [16, 16, 3]],
  ['DenseNet-BC-16-4', zoo.densenet({ classes, depth: 16, growth: 4, bc: true }), [16, 16, 3]],
  ['mobilenetV2 of width 0.25', zoo.mobilenetV2({ classes, width: 0.25 }), CIFAR],
  ['small convnext', zoo.convnext({ classes, widths: [8, 16, 24, 32], blocks: [1, 1, 2, 1] }), CIFAR],
  ['small vit', zoo.vit({ classes, size: 32, patch: 8, width: 32, depth: 2, heads: 4 }), CIFAR],
  ['unet of width 4', zoo.unet({ classes: 2, width: 4 }), [16, 32, 3]],
];

const PUBLISHED: readonly Case[] = [
  ['resnet18', zoo.resnet18({ classes }), SMALL_IMAGES],
  ['resnet34', zoo.resnet34({ classes }), SMALL_IMAGES],
  ['resnet50', zoo.resnet50({ classes }), SMALL_IMAGES],
  ['WRN-16-4', zoo.wideResnet({ classes, depth: 16, widen: 4 }), CIFAR],
  ['DenseNet-40-12', zoo.densenet({ classes, depth: 40, growth: 12 }), CIFAR],
  ['DenseNet-BC-100-12', zoo.densenet({ classes, depth: 100, growth: 12, bc: true }), CIFAR],
  ['densenet121', zoo.densenet121({ classes }), SMALL_IMAGES],
  ['mobilenetV2', zoo.mobilenetV2({ classes }), SMALL_IMAGES],
  ['convnextTiny', zoo.convnextTiny({ classes }), SMALL_IMAGES],
  ['vit for CIFAR', zoo.vit({ classes, size: 32, patch: 4, width: 128, depth: 4, heads: 4 }), CIFAR],
  ['vitB16', zoo.vitB16({ classes, size: 64 }), SMALL_IMAGES],
  ['unet', zoo.unet({ classes: 2 }), [32, 32, 3]],
];

describe.skipIf(python === undefined).each([
  ['small models of the zoo', SMALL, true],
  [`models of the zoo as published, with 10 classes (${LONG})`, PUBLISHED, isLong],
])('PyTorch (python3-torch) and %s', (_, cases, runs) => {
  const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-torch-'));
  const backend = wasm({ threads: 1 });
  afterAll(() => rmSync(folder, { recursive: true }));

  beforeAll(async () => {
    if (!runs) return;
    for (const [number, [, model, input]] of cases.entries()) {
      const at = join(folder, String(number));
      mkdirSync(at);
      await saveTensors(join(at, 'x.safetensors'), { x: waves([2, ...input]) });
      await saveTensors(join(at, 'ours.safetensors'), toTorch(model, mixed(model), { input }));
    }
    execFileSync(python!, [script, folder, ...cases.map(([name]) => name)]);
  }, 120_000);

  it.skipIf(!runs).each(cases.map((entry, number) => [...entry, number] as const))(
    'agree in both directions: %s',
    async (_, model, input, number) => {
      const at = join(folder, String(number));
      const outputs = await loadTensors(join(at, 'outputs.safetensors'));
      const weights = await loadTensors(join(at, 'weights.safetensors'));
      const data = waves([2, ...input]);
      const ours = await forward({ model, state: mixed(model), data, backend: await backend });
      const state = fromTorch(model, weights, { input });
      const own = await forward({ model, state, data, backend: await backend });
      expect(difference(outputs['ours'], ours)).toBeLessThan(TOLERANCE);
      expect(difference(outputs['own'], own)).toBeLessThan(TOLERANCE);
    },
  );
});
