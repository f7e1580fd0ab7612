/** All fuzz targets. */
import { idx, npy } from './arrays.ts';
import { imageTargets } from './images.ts';
import { cifar } from './cifar.ts';
import { cli } from './cli.ts';
import { events } from './events.ts';
import { onnx } from './onnx.ts';
import { results } from './results.ts';
import { safetensors } from './safetensors.ts';
import { schedules } from './schedules.ts';
import type { FuzzTarget } from './target.ts';

export const targets: readonly FuzzTarget[] = [
  safetensors,
  cifar,
  idx,
  npy,
  schedules,
  events,
  results,
  onnx,
  cli,
  ...imageTargets,
];
