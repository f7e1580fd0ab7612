/** Models of papers: `import * as zoo from 'cyclegrad/zoo'`. */
export {
  classifier,
  CLASSIFIERS,
  suggestClassifier,
  type ClassifierName,
  type ClassifierOptions,
  type SuggestClassifierOptions,
  type SuggestedClassifier,
} from './classifier.ts';
export { convnet, type ConvnetOptions } from './convnet.ts';
export { convnext, convnextTiny, type ConvnextOptions, type ConvnextTinyOptions } from './convnext.ts';
export { densenet, densenet121, type DensenetOptions } from './densenet.ts';
export {
  anchorBoxes,
  boxOverlaps,
  decodeDetections,
  detectionLoss,
  detector,
  matchAnchors,
  selectDetections,
  type AnchorMap,
  type Detection,
  type DetectionLossOptions,
  type DetectorOptions,
  type Matches,
  type SelectOptions,
} from './detector.ts';
export { lenet5 } from './lenet.ts';
export { mobilenetV2, type MobilenetOptions } from './mobilenet.ts';
export type { BlockOptions, ModelOptions } from './parts.ts';
export {
  resnet110,
  resnet18,
  resnet20,
  resnet32,
  resnet34,
  resnet44,
  resnet50,
  resnet56,
  type ResnetOptions,
} from './resnet.ts';
export { unet, type UnetOptions } from './unet.ts';
export { vit, vitB16, type VitB16Options, type VitOptions } from './vit.ts';
export { wideResnet, type WideResnetOptions } from './wide-resnet.ts';
