/** The public API of the data sets. */
export type { Batch, Dataset, Loader, Mix } from '../engine/dataset.ts';
export type { DataEvent, OnData } from './progress.ts';
export { cifar10 } from './cifar.ts';
export type { Cifar10Options } from './cifar.ts';
export { cifar10Dir } from './obtain.ts';
export type { BatchFile, Cifar10Sources } from './obtain.ts';
export type { RetryPolicy } from './download.ts';
export type { NpmCommand } from './npm.ts';
export { imageFolder, readImage } from './image-folder.ts';
export type { ImageFolderOptions, ImageOptions } from './image-folder.ts';
export { loader } from './loader.ts';
export type { LoaderOptions } from './loader.ts';
export { channelStats, meanImage } from './transforms.ts';
export { synthetic } from './synthetic.ts';
export type { SyntheticKind, SyntheticOptions } from './synthetic.ts';
export { arrays, split, subset, take, targets } from './arrays.ts';
export type { ArraysOptions, HostArray } from './arrays.ts';
