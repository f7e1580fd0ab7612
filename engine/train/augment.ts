/** Augmentation in the graph of a training step. */
import type { Feeds } from '../backends/backend.ts';
import type { InputTypes } from '../compile.ts';
import type { Augmentation, TargetMoves } from '../augmentation.ts';
import type { AnyLoader } from '../dataset.ts';
import type { Augment } from '../nn/layer.ts';
import { PlanError } from '../errors.ts';
import { currentPath } from '../path.ts';
import { tensorsOf, type Named } from '../named.ts';
import { formatType } from '../shape.ts';
import type { TensorType } from '../types.ts';
import type { Tree } from '../nn/optimizer.ts';
import { scalar, zeros } from '../ops/create.ts';
import { cast, mul, sub } from '../ops/elementwise.ts';
import { normalizeImages } from '../ops/images.ts';
import { broadcastTo, reshape, slice, stack } from '../ops/layout.ts';
import { warpAffine, warpBoxes, warpPoints } from '../ops/warp.ts';
import { isPromise } from '../options.ts';
import { imagesOf, targetsOf, type KnownTargets } from '../targets.ts';
import { Tensor } from '../tensor.ts';
import { batchAt, type Examples, type ExampleTensors } from './examples.ts';
import { mixExamples, mixFeeds, mixImages, mixInputs, pasteBoxes } from './mix.ts';

/** How a function moves each kind of target. */
interface Moves {
  mask(masks: Tensor, fill: number): Tensor;
  image(images: Tensor, fill: number): Tensor;
  boxes(boxes: Tensor, size: readonly [number, number]): Tensor;
  points(points: Tensor, size: readonly [number, number]): Tensor;
}

/** The inputs of a batch that `gatherBatch` augments. */
export const batchInputs = (loader: AnyLoader, examples: Examples): InputTypes => ({
  ...examples.inputs(loader.batchSize),
  ...augmentInputs(loader),
});

/** The batch of a step, for `batchInputs`. */
export function batchFeeds(
  caller: string,
  loader: AnyLoader,
  examples: Examples,
  step: number,
): Feeds | Promise<Feeds> {
  const { indices, augmentation, draws, mix } = batchAt(caller, loader, step);
  const drawn = {
    ...(augmentation !== null && { augmentation }),
    ...(draws !== null && draws.length > 0 && { draws }),
    ...(mix !== null && mixFeeds(caller, mix)),
  };
  const feeds = examples.feeds(indices);
  return isPromise(feeds) ? feeds.then((read) => ({ ...read, ...drawn })) : { ...feeds, ...drawn };
}

/** A batch in the graph, with the targets after augmentation and the images before `augmentOf`. */
export function gatherBatch(
  loader: AnyLoader,
  examples: Examples,
  inputs: Tree,
  state: Tree,
): ExampleTensors {
  const { x, y } = examples.gather(inputs, state);
  // The short form mixes bytes. A list of augmentations mixes what comes out of them.
  const mixesHere = loader.mixes === true && loader.augmentations === undefined;
  return {
    x: mixesHere ? mixExamples(inputs, singleInput(loader, x)) : x,
    y: y instanceof Tensor ? augmentTargets(loader, inputs, y) : y,
  };
}

/** The additional inputs of a step with augmentation. */
function augmentInputs({ batchSize, augments, augmentations = [], mixes = false }: AnyLoader): InputTypes {
  const draws = augmentations.reduce((sum, each) => sum + each.draws, 0);
  return {
    ...(augments && ({ augmentation: { shape: [batchSize, 3], dtype: 'i32' } } as const)),
    ...(draws > 0 && ({ draws: { shape: [batchSize, draws], dtype: 'f32' } } as const)),
    ...(mixes !== false && mixInputs(batchSize, mixes)),
  };
}

/** What augments the inputs x of the model. Undefined without augmentation. */
export function augmentOf(loader: AnyLoader, inputs: Tree, x: Named<Tensor>): Tensor | Augment | undefined {
  const { dataset, augmentations, mixes = false } = loader;
  const { augmentation } = inputs;
  if (augmentations === undefined) return augmentation;
  if (augmentations.some(({ input }) => input !== undefined)) return augmentByName(loader, inputs, x);
  const white = whiteOf(imagesOf('augment', dataset));
  return (images, mean, scale) => {
    const range = { white, neutral: mean };
    const changed = eachOf(loader, inputs).reduce(
      (current, { augmentation: each, draws }) => each.images(current, draws, range),
      augmentations.length === 0 ? images : cast(images),
    );
    const normalized = normalizeImages(changed, mean, scale, augmentation);
    return mixes === false ? normalized : mixImages(inputs, normalized);
  };
}

const whiteOf = ({ dtype }: TensorType): number => (dtype === 'u8' ? 255 : 1);

/** Augments several inputs, which `normalize` must get as they are. */
function augmentByName(loader: AnyLoader, inputs: Tree, x: Named<Tensor>): Augment {
  const parts = tensorsOf(x);
  const all = eachOf(loader, inputs);
  const left = new Set(all.map(({ input }) => input!));
  const names = [...left].join(', ');
  const augment = (images: Tensor, mean: Tensor, scale: Tensor | number): Tensor => {
    const name = parts.find(({ value }) => value === images)?.name ?? null;
    if (name === null) {
      throw new PlanError(
        `${currentPath()}: normalize: its input ${formatType(images)} is none of the inputs of the model (${parts.map((part) => part.name).join(', ')}), so how to ` +
          `augment it is unknown: augment has lists for ${names} (apply nn.normalize to the inputs themselves)`,
      );
    }
    left.delete(name);
    const own = all.filter(({ input }) => input === name);
    const range = { white: whiteOf(images), neutral: mean };
    const changed = own.reduce(
      (current, { augmentation, draws }) => augmentation.images(current, draws, range),
      own.length === 0 ? images : cast(images),
    );
    return normalizeImages(changed, mean, scale);
  };
  return Object.assign(augment, {
    check() {
      const [name] = left;
      if (name === undefined) return;
      throw new PlanError(
        `augment.${name}: the model does not augment its input '${name}' (apply nn.normalize to it first)`,
      );
    },
  });
}

/** The targets of a batch, moved as its images are. */
function augmentTargets(loader: AnyLoader, inputs: Tree, y: Tensor): Tensor {
  const { dataset, augmentations = [], mixes = false } = loader;
  const { augmentation } = inputs;
  const moving = augmentations.some(({ augmentation: { targets } }) => targets !== 'unchanged');
  if (augmentation === undefined && !moving && mixes !== 'box') return y;
  const known = targetsOf('augment', dataset);
  if (known.kind === 'labels') return y;
  const [height, width] = imagesOf('augment', dataset, known.of ?? undefined).shape;
  const size = [height, width] as const;
  let moved = y;
  if (augmentation !== undefined) moved = moveBy(shifts(augmentation), known, moved, size);
  for (const { augmentation: each, draws, input } of eachOf(loader, inputs)) {
    if (input !== undefined && input !== known.of) continue;
    if (each.targets !== 'unchanged') moved = moveBy(movesOf(each, draws, known), known, moved, size);
  }
  return mixes === 'box' ? asImages(moved, (images) => pasteBoxes(inputs, images)) : moved;
}

/** Whether losses are mixed. A box is cut out of targets that are images, which leaves one target for each example. */
export function mixesLoss({ dataset, mixes = false }: AnyLoader): boolean {
  if (mixes !== 'box') return mixes;
  return targetsOf('augment', dataset).kind === 'labels';
}

/** The augmentations with their draws, [N, draws]. */
function eachOf(
  { batchSize, augmentations = [] }: AnyLoader,
  inputs: Tree,
): readonly { readonly augmentation: Augmentation; readonly draws: Tensor; readonly input?: string }[] {
  let end = 0;
  return augmentations.map(({ augmentation, draws, ...rest }) => {
    const begin = end;
    end += draws;
    // Without any draws, there is no such input.
    const all = inputs['draws'] ?? zeros([batchSize, 0]);
    return { ...rest, augmentation, draws: slice(all, [null, { begin, end }]) };
  });
}

/** How an augmentation moves targets by its draws. Throws TypeError if it cannot. */
function movesOf({ config, targets }: Augmentation, draws: Tensor, { kind }: KnownTargets): Moves {
  const moves = targets as TargetMoves;
  if (kind !== 'labels' && moves[kind] === undefined) {
    throw new TypeError(`augment: ${config.kind} cannot move targets (${kind}): give it targets.${kind}`);
  }
  return {
    mask: (masks, fill) => moves.mask!(masks, draws, fill),
    image: (images, fill) => moves.image!(images, draws, fill),
    boxes: (boxes, size) => moves.boxes!(boxes, draws, size),
    points: (points, size) => moves.points!(points, draws, size),
  };
}

/** Moves targets of a known kind. */
function moveBy(
  moves: Moves,
  { kind, fill }: KnownTargets,
  y: Tensor,
  size: readonly [number, number],
): Tensor {
  switch (kind) {
    case 'labels':
      return y;
    case 'mask':
    case 'image':
      return asImages(y, (images) => moves[kind](images, fill));
    case 'boxes':
    case 'points':
      return moves[kind](y, size);
  }
}

/** Applies a function of [N, H, W, C] to [N, H, W] as well. */
const asImages = (y: Tensor, apply: (images: Tensor) => Tensor): Tensor =>
  y.rank === 4 ? apply(y) : reshape(apply(reshape(y, [...y.shape, 1])), y.shape);

/** How `normalizeImages` moves images by vertical shift, horizontal shift and flip, i32 [N, 3]. */
function shifts(augmentation: Tensor): Moves {
  const [dy, dx, flip] = [0, 1, 2].map((i) => cast(slice(augmentation, [null, i]))) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const [zero, one] = [0, 1].map((value) => broadcastTo(scalar(value), dy.shape)) as [Tensor, Tensor];
  const rows = [sub(1, mul(flip, 2)), zero, dx, zero, one, dy];
  const matrix = reshape(stack(rows, 1), [dy.shape[0], 2, 3]);
  return {
    mask: (masks, fill) => warpAffine(masks, matrix, { mode: 'nearest', fill }),
    image: (images, fill) => warpAffine(images, matrix, { mode: 'nearest', fill }),
    boxes: (boxes, size) => warpBoxes(boxes, matrix, size),
    points: (points, size) => warpPoints(points, matrix, size),
  };
}

/** The input that mixup mixes. Throws TypeError for inputs by name. */
function singleInput({ dataset }: AnyLoader, x: Named<Tensor>): Tensor {
  if (x instanceof Tensor) return x;
  throw new TypeError(
    `augment: mixup needs a single input, but ${dataset.name} has ${Object.keys(x).join(', ')} (omit mixup)`,
  );
}
