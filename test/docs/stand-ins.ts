/** What blocks of code get in place of hours of training and downloads, without a change of the text that readers see. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { vi } from 'vitest';
import type * as Engine from 'cyclegrad';
import { synthetic, type Dataset } from 'cyclegrad/datasets';
import { encodePng } from '../png.ts';

/** Updates of a training run, at most. */
export const SHORT = 8;

type Length = Pick<Engine.TrainOptions, 'steps' | 'epochs' | 'checkpoint'> & {
  readonly eval?: { readonly every?: Engine.Interval };
};

/** Options of a short run: what happens every so many steps happens in it, too. */
function short<T extends Length>(options: T): T {
  const { epochs, ...rest } = options;
  const { steps = epochs === undefined ? 0 : SHORT, eval: evaluation, checkpoint } = rest;
  const often = <P extends { readonly every?: Engine.Interval }>(part: P): P => ({
    ...part,
    every: Math.min(typeof part.every === 'number' ? part.every : SHORT, SHORT / 2),
  });
  return {
    ...(rest as T),
    steps: Math.min(steps, SHORT),
    ...(evaluation && { eval: often(evaluation) }),
    ...(checkpoint && { checkpoint: often(checkpoint) }),
  };
}

/**
 * Replaces functions of the package in modules that are imported later: training takes a few steps, `loadCheckpoint` takes the last
 * checkpoint in place of one that a long run writes, `gpu` needs no GPU, and `cifar10` gives synthetic images.
 */
export function shortenTraining(): void {
  vi.doMock('../../engine/index.ts', async (load) => {
    const engine = await load<typeof Engine>();
    return { ...engine, ...standIns(engine) };
  });
  vi.doMock('../../datasets/index.ts', async (load) => ({ ...(await load<object>()), cifar10 }));
}

function standIns(
  engine: typeof Engine,
): Pick<typeof Engine, 'fit' | 'train' | 'lrRangeTest' | 'loadCheckpoint' | 'gpu'> {
  return {
    fit: (options) => engine.fit(short(options)),
    train: (options) => engine.train(short(options)),
    lrRangeTest: (options) => engine.lrRangeTest(short(options)),
    loadCheckpoint: async (path) =>
      engine.loadCheckpoint(
        existsSync(path) ? path : ((await engine.latestCheckpoint(dirname(path))) ?? path),
      ),
    gpu: (options) => engine.gpu({ ...options, mode: 'cpu' }),
  };
}

/** Workers of a browser in this thread: the scope of a worker's file is one end of a message channel. */
export function standInWorkers(): void {
  let scope = new MessageChannel().port2;
  vi.stubGlobal('postMessage', (message: unknown) => scope.postMessage(message));
  vi.stubGlobal('addEventListener', (...[type, listener]: Parameters<MessagePort['addEventListener']>) =>
    scope.addEventListener(type, listener),
  );
  const Worker = function (url: URL): MessagePort {
    const { port1, port2 } = new MessageChannel();
    scope = port2;
    port2.start();
    void import(`${url.href}?in-worker`);
    return port1;
  };
  vi.stubGlobal('Worker', Worker);
}

const CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

const images = (n: number, seed: number): Dataset => ({
  ...synthetic({ kind: 'images', n, seed }),
  classes: CLASSES,
});

/** Synthetic images with the shapes and classes of CIFAR-10. */
const cifar10 = (): Promise<{ readonly train: Dataset; readonly test: Dataset }> =>
  Promise.resolve({ train: images(500, 1), test: images(100, 2) });

/** `ship.jpg`, and `pets/cat` and `pets/dog` with 24 pictures each, JPEG and PNG. */
export async function writePictures(dir: string): Promise<void> {
  const [width, height] = [32, 32];
  for (const [label, name] of ['cat', 'dog'].entries()) {
    const data = Uint8Array.from(
      { length: width * height * 4 },
      (_, i) => 255 - (((i % 4) * i + 90 * label) % 256),
    );
    const pictures = {
      jpg: await sharp(data, { raw: { width, height, channels: 4 } })
        .jpeg()
        .toBuffer(),
      png: encodePng({ width, height, data, channels: 4 }),
    };
    mkdirSync(join(dir, 'pets', name), { recursive: true });
    for (let i = 0; i < 24; i++) {
      const kind = i % 2 === 0 ? 'jpg' : 'png';
      writeFileSync(join(dir, `pets/${name}/${i}.${kind}`), pictures[kind]);
    }
    writeFileSync(join(dir, 'ship.jpg'), pictures.jpg);
  }
}

/** `images.npy`, and `data.npz` with x [2, 3] and y [2], as NumPy wrote them. */
export function writeNumpyFiles(dir: string): void {
  const { right, archives } = JSON.parse(
    readFileSync(new URL('../datasets/numpy.json', import.meta.url), 'utf8'),
  ) as {
    readonly right: readonly { readonly file: string }[];
    readonly archives: { readonly stored: string };
  };
  writeFileSync(join(dir, 'images.npy'), Buffer.from(right[0].file, 'base64'));
  writeFileSync(join(dir, 'data.npz'), Buffer.from(archives.stored, 'base64'));
}
