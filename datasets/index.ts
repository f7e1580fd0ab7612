/** The public API of the data sets. */
export type {
  AnyDataset,
  AnyLoader,
  Batch,
  Dataset,
  InputData,
  Loader,
  Mix,
  TargetData,
} from '../engine/dataset.ts';
export type { Like, Named, Types } from '../engine/named.ts';
export type { DataEvent, OnData } from './progress.ts';
export { cifar10 } from './cifar.ts';
export type { Cifar10Options } from './cifar.ts';
export { cifar10Dir } from './obtain.ts';
export type { BatchFile, Cifar10Sources } from './obtain.ts';
export type { RetryPolicy } from './download.ts';
export type { NpmCommand } from './npm.ts';
export { imageFolder } from './image-folder.ts';
export type { ImageDataset, ImageFolderOptions } from './image-folder.ts';
export type { ImageOptions } from './image-options.ts';
export type { SkippedFile } from './image-scan.ts';
export { readImage } from './read-image.ts';
export type { ImageSource, ReadImageOptions } from './read-image.ts';
export { readIdx } from './idx.ts';
export { cifar100 } from './cifar100.ts';
export type { Cifar100Options } from './cifar100.ts';
export { svhn } from './svhn.ts';
export { fashionMnist, mnist } from './mnist.ts';
export { dataDir } from './named.ts';
export type { NamedOptions } from './named.ts';
export { loader } from './loader.ts';
export type { AugmentOptions } from './augment.ts';
export type { LoaderOptions } from './loader.ts';
export { channelStats, meanImage } from './transforms.ts';
export { readNpy, readNpz } from './npy.ts';
export { shapes, type ShapesOptions } from './shapes.ts';
export { synthetic } from './synthetic.ts';
export type { SyntheticKind, SyntheticOptions } from './synthetic.ts';
export { arrays, split, subset, take, targets } from './arrays.ts';
export type { ArraysOptions, HostArray, HostTargets, TypesOf } from './arrays.ts';
