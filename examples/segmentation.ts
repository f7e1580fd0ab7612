// Segmentation: a small U-Net learns to find shapes with cross-entropy, soft Dice and a cyclical rate.
// Arguments: the number of steps (default 1000), the path of a picture of the results (default segmentation.png), and the number of pictures
// to train on (default 2000).
import sharp from 'sharp';
import { crossEntropy, fit, forward, mean, oneHot, progressBar, softmax, wasm, type Tensor } from 'cyclegrad';
import { flip, scale } from 'cyclegrad/augment';
import { loader, shapes, take } from 'cyclegrad/datasets';
import { meanIoU } from 'cyclegrad/metrics';
import { adamw } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';
import * as zoo from 'cyclegrad/zoo';

const [stepsText = '1000', path = 'segmentation.png', countText = '2000'] = process.argv.slice(2);
const steps = Number(stepsText);
const size = 64;
const train = shapes({ n: Number(countText), targets: 'mask', seed: 1 });
const test = shapes({ n: Number(countText) / 10, targets: 'mask', seed: 2 });
const model = zoo.unet({ classes: 4, width: 8, mean: [127, 127, 127], std: [74, 74, 74] });

/** Soft Dice sees each class as a whole, so small shapes count as much as the background. */
function softDice(output: Tensor, target: Tensor): Tensor {
  const [p, t] = [softmax(output), oneHot(target, 4)];
  const overlap = p.mul(t).sum([1, 2]).mul(2).add(1);
  const sizes = p
    .sum([1, 2])
    .add(t.sum([1, 2]))
    .add(1);
  return mean(overlap.div(sizes).neg().add(1), 1);
}

const backend = await wasm();
const { state, last, ms } = await fit({
  model,
  backend,
  steps,
  seed: 1,
  loss: (output, target, options) => crossEntropy(output, target, options).add(softDice(output, target)),
  metrics: { meanIoU: meanIoU() },
  data: loader(train, { batchSize: 16, augment: [flip(), scale([0.8, 1.25])] }),
  eval: { data: test, every: 200 },
  optimizer: adamw({ lr: oneCycle({ max: 0.005, steps }), weightDecay: 0.01 }),
  listeners: [progressBar()],
});
console.log(
  `mean IoU ${last?.metrics['meanIoU']?.toFixed(3)} on ${test.length} pictures after ${(ms / 1000).toFixed(0)} s`,
);

// A sheet with pictures, truths and predictions in rows.
const shown = take(test, 12);
const logits = await forward({ model, state, backend, data: shown });
await backend.close();
const pixels = size * size;
const x = new Uint8Array(shown.length * pixels * 3);
const truths = new Int32Array(shown.length * pixels);
shown.read(
  Uint32Array.from({ length: shown.length }, (_, i) => i),
  x,
  truths,
);
const palette = [
  [32, 32, 40],
  [230, 85, 70],
  [70, 160, 235],
  [240, 200, 70],
];
const sheet = new Uint8Array(3 * shown.length * pixels * 3);
for (let at = 0; at < shown.length * pixels; at++) {
  const [image, pixel] = [Math.floor(at / pixels), at % pixels];
  const scores = logits.data.subarray(4 * at, 4 * at + 4);
  const colors = [
    x.subarray(3 * at, 3 * at + 3),
    palette[truths[at] ?? 0],
    palette[scores.indexOf(Math.max(...scores))],
  ];
  colors.forEach((color, row) => {
    const line = row * size + Math.floor(pixel / size);
    sheet.set(color ?? [], 3 * (line * shown.length * size + image * size + (pixel % size)));
  });
}
await sharp(sheet, { raw: { width: shown.length * size, height: 3 * size, channels: 3 } })
  .png()
  .toFile(path);
console.log(`pictures, truths and predictions: ${path}`);
