// Pictures of one's own: a folder with a folder for each class, PNG and JPEG. `npm run example -- pictures ~/pets 64 500` learns from
// those in ~/pets at 64 × 64 pixels in 500 steps; without a folder, circles, squares and triangles are drawn.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from 'fast-png';
import { fit, predict, progressBar, stream, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { channelStats, imageFolder, loader, split, targets } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

const [own, size = '32', count = '300'] = process.argv.slice(2);
const steps = Number(count);
const dir = own ?? draw(mkdtempSync(join(tmpdir(), 'cyclegrad-pictures-')));
const all = await imageFolder(dir, { height: Number(size), width: Number(size) });
if (own === undefined) rmSync(dir, { recursive: true }); // they are in memory now
const [train, test] = split(all, Math.round(0.8 * all.length), { seed: 1 });
const { mean, std } = channelStats(train);

const block = (from: number, to: number): nn.Layer =>
  nn.sequential({
    conv: nn.conv2d(from, to, 3, { padding: 'same', bias: false }),
    norm: nn.batchNorm(to),
    relu: nn.relu(),
    pool: nn.maxPool2d(2),
  });
const model = nn.sequential({
  input: nn.normalize(mean, { std }),
  block1: block(3, 16),
  block2: block(16, 32),
  block3: block(32, 64),
  pool: nn.globalAvgPool2d(),
  head: nn.dense(64, all.classes.length),
});

const backend = await wasm();
const batchSize = Math.min(32, train.length);
const { state, accuracy } = await fit({
  model,
  backend,
  steps,
  data: loader(train, { batchSize, augment: { crop: Math.floor(Number(size) / 8), flip: true } }),
  eval: { data: test, every: 100 },
  optimizer: sgd({ lr: oneCycle({ max: 0.1, steps }), momentum: 0.9, weightDecay: 5e-4 }),
  listeners: [progressBar()],
});

const { classes } = await predict({ model, state, data: test, backend });
const labels = targets(test);
for (const [label, name] of all.classes.entries()) {
  const mine = [...labels.keys()].filter((i) => labels[i] === label);
  console.log(`${name}: ${mine.filter((i) => classes[i] === label).length} of ${mine.length}`);
}
console.log(`test accuracy ${accuracy}`);
await backend.close();

/** Circles, squares and triangles, bright on dark, 150 each, of 40 × 48 pixels. */
function draw(root: string): string {
  const shapes = {
    circle: (x: number, y: number) => Math.hypot(x, y) < 1,
    square: (x: number, y: number) => Math.max(Math.abs(x), Math.abs(y)) < 0.9,
    triangle: (x: number, y: number) => y < 0.8 && y > 2 * Math.abs(x) - 1,
  };
  const [width, height] = [40, 48];
  const random = stream(1, 'shapes');
  const colour = (least: number): number[] => Array.from({ length: 3 }, () => least + random.below(100));
  for (const [name, inside] of Object.entries(shapes)) {
    mkdirSync(join(root, name));
    for (let i = 0; i < 150; i++) {
      const radius = 7 + random.below(8);
      const [cx, cy] = [
        radius + random.below(width - 2 * radius),
        4 + radius + random.below(height - 8 - 2 * radius),
      ];
      const [shape, ground] = [colour(150), colour(0)];
      const data = new Uint8Array(width * height * 3);
      for (let p = 0; p < width * height; p++) {
        const [x, y] = [p % width, Math.floor(p / width)];
        data.set(inside((x - cx) / radius, (y - cy) / radius) ? shape : ground, 3 * p);
      }
      writeFileSync(join(root, name, `${i}.png`), encode({ width, height, channels: 3, data }));
    }
  }
  return root;
}
