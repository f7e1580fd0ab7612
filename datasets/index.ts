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
export { arrays, split, subset, take, targets } from './arrays.ts';
export type { ArraysOptions, HostArray, HostTargets, TypesOf } from './arrays.ts';
export { inMemory } from './resident.ts';
export { loader } from './loader.ts';
export type { LoaderOptions } from './loader.ts';
export type { AugmentOptions } from './augment.ts';
export { channelStats, meanImage } from './transforms.ts';
export { imageFolder } from './images/folder.ts';
export type { ImageFolderOptions } from './images/folder.ts';
export type { LazyOptions } from './images/open.ts';
export { imageFiles } from './images/files.ts';
export type { ImageFilesOptions } from './images/files.ts';
export type { ImageDataset, ReadingOptions } from './images/read.ts';
export type { ImageOptions } from './images/options.ts';
export type { LabeledFile, SkippedFile } from './images/scan.ts';
export { inspectImages } from './images/inspect.ts';
export type { ImageInspection, InspectedImage, InspectOptions } from './images/inspect.ts';
export { similarImages } from './images/similar.ts';
export type { SimilarOptions } from './images/similar.ts';
export { readImage } from './images/read-image.ts';
export type { ImageSource, ReadImageOptions } from './images/read-image.ts';
export { cifar10 } from './official/cifar.ts';
export type { Cifar10Options } from './official/cifar.ts';
export { cifar100 } from './official/cifar100.ts';
export type { Cifar100Options } from './official/cifar100.ts';
export { svhn } from './official/svhn.ts';
export { fashionMnist, mnist } from './official/mnist.ts';
export { shapes, type ShapesOptions } from './generated/shapes.ts';
export { synthetic } from './generated/synthetic.ts';
export type { SyntheticKind, SyntheticOptions } from './generated/synthetic.ts';
export { readIdx } from './formats/idx.ts';
export { readNpy, readNpz } from './formats/npy.ts';
export { cifar10Dir } from './download/obtain.ts';
export type { BatchFile, Cifar10Sources } from './download/obtain.ts';
export type { RetryPolicy } from './download/download.ts';
export type { NpmCommand } from './download/npm.ts';
export { dataDir } from './download/named.ts';
export type { NamedOptions } from './download/named.ts';
export type { DataEvent, OnData } from './progress.ts';
