// Detection: a small single-shot detector learns to find shapes and their classes under a cyclical rate.
// Arguments: the number of steps (default 1200), the path of a picture of the results (default detection.png), and the number of pictures to
// train on (default 4000).
import sharp from 'sharp';
import { fit, forward, progressBar, wasm } from 'cyclegrad';
import { flip, translate } from 'cyclegrad/augment';
import { loader, shapes, take } from 'cyclegrad/datasets';
import { meanAveragePrecision } from 'cyclegrad/metrics';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';
import * as zoo from 'cyclegrad/zoo';

const [stepsText = '1200', path = 'detection.png', countText = '4000'] = process.argv.slice(2);
const steps = Number(stepsText);
const size = 64;
const train = shapes({ n: Number(countText), targets: 'boxes', seed: 1 });
const test = shapes({ n: Number(countText) / 10, targets: 'boxes', seed: 2 });
const model = zoo.detector({ classes: 3, width: 16, anchors: 2, mean: [127, 127, 127], std: [74, 74, 74] });
const anchors = zoo.anchorBoxes(size, [
  { grid: 8, sizes: [11, 15], ratios: [1] },
  { grid: 4, sizes: [19, 24], ratios: [1] },
]);

const backend = await wasm();
const { state, best, ms } = await fit({
  model,
  backend,
  steps,
  seed: 1,
  loss: zoo.detectionLoss(anchors),
  metrics: { mAP: meanAveragePrecision({ detections: (output) => zoo.decodeDetections(output, anchors) }) },
  data: loader(train, { batchSize: 32, augment: [flip(), translate(0.1)] }),
  eval: { data: test, every: 400 },
  optimizer: sgd({
    lr: cyclicLR({ base: 0.001, max: 0.02, stepSize: 200, mode: 'triangular2' }),
    momentum: 0.9,
    weightDecay: 5e-4,
  }),
  listeners: [progressBar()],
});
console.log(
  `mAP@0.5 ${best?.metrics['mAP']?.toFixed(3)} on ${test.length} pictures after ${(ms / 1000).toFixed(0)} s`,
);

// A sheet of pictures with the boxes that were found, in the color of their class.
const shown = take(test, 24);
const found = await zoo.selectDetections(await forward({ model, state, backend, data: shown }), anchors, {
  score: 0.3,
});
await backend.close();
const scale = 3;
const names = ['circle', 'square', 'triangle'];
const colors = ['#ff5a46', '#46a0ff', '#ffd23c'];
const x = new Uint8Array(shown.length * size * size * 3);
shown.read(
  Uint32Array.from({ length: shown.length }, (_, i) => i),
  x,
  new Float32Array(shown.length * 15),
);
const tiles = await Promise.all(
  found.map(async (boxes, i) => {
    const marks = boxes.map(({ box: [x1, y1, x2, y2], label, score }) => {
      const place = `x="${x1 * scale}" y="${y1 * scale}" width="${(x2 - x1) * scale}" height="${(y2 - y1) * scale}"`;
      const text = `<text x="${x1 * scale}" y="${y1 * scale - 3}" font-size="12" fill="${colors[label]}">${names[label]} ${score.toFixed(2)}</text>`;
      return `<rect ${place} fill="none" stroke="${colors[label]}" stroke-width="2"/>${text}`;
    });
    const side = size * scale;
    const overlay = `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}">${marks.join('')}</svg>`;
    const raw = { width: size, height: size, channels: 3 } as const;
    const input = await sharp(x.subarray(i * size * size * 3, (i + 1) * size * size * 3), { raw })
      .resize(side, side, { kernel: 'nearest' })
      .composite([{ input: Buffer.from(overlay) }])
      .png()
      .toBuffer();
    return { input, left: (i % 6) * (side + 8), top: Math.floor(i / 6) * (side + 8) };
  }),
);
const [width, height] = [6, 4].map((count) => count * (size * scale + 8) - 8);
await sharp({ create: { width: width ?? 0, height: height ?? 0, channels: 3, background: 'white' } })
  .composite(tiles)
  .png()
  .toFile(path);
console.log(`the boxes that were found: ${path}`);
