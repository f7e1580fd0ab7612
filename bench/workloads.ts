/**
 * The training steps that are compared: networks as data. Each engine builds them with its own layers, so all do the same work.
 * Models of the zoo are given by name. PyTorch's are in peers/torch_zoo.py.
 */

/** Factors of the rate and the decay of a weight, as in the files of Caffe. */
interface Factors {
  readonly lr: number;
  readonly decay: number;
}

export interface ConvSpec {
  readonly kind: 'conv';
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly bias: boolean;
  /** Standard deviation of the initial weights. Null for He initialization. */
  readonly std: number | null;
  readonly biasFactors: Factors;
  /** Whether the weights are not trained. */
  readonly frozen: boolean;
}

export interface DenseSpec {
  readonly kind: 'dense';
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
  readonly std: number | null;
  readonly weightFactors: Factors;
  readonly biasFactors: Factors;
}

export interface PoolSpec {
  readonly kind: 'maxPool' | 'avgPool';
  readonly kernel: number;
  readonly stride: number;
  /** Whether the last window may exceed the image, and is clipped to it. */
  readonly ceil: boolean;
}

export interface LrnSpec {
  readonly kind: 'lrn';
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
}

export interface BatchNormSpec {
  readonly kind: 'batchNorm';
  readonly channels: number;
  /** Whether it has a trained scale. */
  readonly scale: boolean;
  readonly epsilon: number;
}

export interface ResidualSpec {
  readonly kind: 'residual';
  readonly main: LayerSpecs;
  readonly shortcut: LayerSpecs | null;
}

export type LayerSpec =
  | ConvSpec
  | DenseSpec
  | PoolSpec
  | LrnSpec
  | BatchNormSpec
  | ResidualSpec
  | { readonly kind: 'relu' | 'gelu' }
  | { readonly kind: 'multiply'; readonly factor: number }
  | { readonly kind: 'flatten' };

/** By name, in order. */
export type LayerSpecs = Readonly<Record<string, LayerSpec>>;

/** A model of the zoo with its options. Dropout is 0: engines draw different masks. */
export type ZooSpec =
  | {
      readonly model: 'resnet18' | 'mobilenetV2' | 'unet';
      readonly options: { readonly classes: number; readonly width?: number; readonly dropout?: 0 };
    }
  | {
      readonly model: 'vit';
      readonly options: Readonly<Record<'classes' | 'size' | 'patch' | 'width' | 'depth' | 'heads', number>>;
    };

export const layerWorkloadNames = ['full', 'quick', 'resnet20', 'vgg', 'mlp', 'airbench'] as const;
export const zooWorkloadNames = ['resnet18', 'resnet18-64', 'mobilenetV2', 'unet', 'vit'] as const;
export const workloadNames = [...layerWorkloadNames, ...zooWorkloadNames] as const;
export type WorkloadName = (typeof workloadNames)[number];

interface WorkloadBase {
  readonly name: WorkloadName;
  readonly title: string;
  readonly batchSize: number;
  /** The shape of an example: [H, W, C] for an image, or [features]. */
  readonly input: readonly number[];
  readonly classes: number;
  /** What the targets are: a class for each example, or for each pixel. */
  readonly targets: 'labels' | 'mask';
  readonly optimizer: 'sgd' | 'adamw';
  readonly lr: number;
  /** Of SGD. */
  readonly momentum: number;
  readonly weightDecay: number;
  /** The normalization of images: by the mean image, or by the mean and standard deviation of each channel. */
  readonly normalize: 'mean-image' | 'channels' | 'none';
}

export interface LayerWorkload extends WorkloadBase {
  readonly layers: LayerSpecs;
}

export interface ZooWorkload extends WorkloadBase {
  readonly zoo: ZooSpec;
}

export type Workload = LayerWorkload | ZooWorkload;

const ONE: Factors = { lr: 1, decay: 1 };
const FAST: Factors = { lr: 2, decay: 1 };

function conv(
  inputs: number,
  outputs: number,
  kernel: number,
  options: Partial<Omit<ConvSpec, 'kind'>> = {},
): ConvSpec {
  const usual = {
    stride: 1,
    padding: (kernel - 1) / 2,
    bias: true,
    std: null,
    biasFactors: ONE,
    frozen: false,
  };
  return { kind: 'conv', inputs, outputs, kernel, ...usual, ...options };
}

function dense(inputs: number, outputs: number, options: Partial<Omit<DenseSpec, 'kind'>> = {}): DenseSpec {
  const usual = { bias: true, std: null, weightFactors: ONE, biasFactors: ONE };
  return { kind: 'dense', inputs, outputs, ...usual, ...options };
}

const pool = (kind: PoolSpec['kind'], kernel: number, stride: number, ceil = false): PoolSpec => ({
  kind,
  kernel,
  stride,
  ceil,
});

const norm = (channels: number): BatchNormSpec => ({
  kind: 'batchNorm',
  channels,
  scale: true,
  epsilon: 1e-5,
});

const relu = { kind: 'relu' } as const;
const flatten = { kind: 'flatten' } as const;
const lrn: LrnSpec = { kind: 'lrn', size: 3, alpha: 5e-5, beta: 0.75 };

/** Caffe's cifar10_full and cifar10_quick. A test compares them with those of the zoo. */
const caffe = {
  conv1: conv(3, 32, 5, { std: 1e-4, biasFactors: FAST }),
  pool1: pool('maxPool', 3, 2, true),
  relu1: relu,
} as const;

const full: LayerSpecs = {
  ...caffe,
  norm1: lrn,
  conv2: conv(32, 32, 5, { std: 0.01, biasFactors: FAST }),
  relu2: relu,
  pool2: pool('avgPool', 3, 2, true),
  norm2: lrn,
  conv3: conv(32, 64, 5, { std: 0.01 }),
  relu3: relu,
  pool3: pool('avgPool', 3, 2, true),
  flat: flatten,
  fc: dense(1024, 10, { std: 0.01, weightFactors: { lr: 1, decay: 250 }, biasFactors: { lr: 2, decay: 0 } }),
};

const quick: LayerSpecs = {
  ...caffe,
  conv2: conv(32, 32, 5, { std: 0.01, biasFactors: FAST }),
  relu2: relu,
  pool2: pool('avgPool', 3, 2, true),
  conv3: conv(32, 64, 5, { std: 0.01, biasFactors: FAST }),
  relu3: relu,
  pool3: pool('avgPool', 3, 2, true),
  flat: flatten,
  fc1: dense(1024, 64, { std: 0.1, biasFactors: FAST }),
  fc2: dense(64, 10, { std: 0.1, biasFactors: FAST }),
};

/** K. He et al., 2016, section 4.2: three groups of three blocks, with a 1×1 projection where the size changes. */
function resnet20(): LayerSpecs {
  const convNorm = (
    inputs: number,
    outputs: number,
    kernel: number,
    stride: number,
    name = '',
  ): LayerSpecs => ({
    [`conv${name}`]: conv(inputs, outputs, kernel, { stride, bias: false }),
    [`norm${name}`]: norm(outputs),
  });
  const layers: Record<string, LayerSpec> = { ...convNorm(3, 16, 3, 1), relu };
  let inputs = 16;
  for (const [group, outputs] of [16, 32, 64].entries()) {
    for (let block = 1; block <= 3; block++) {
      const stride = outputs > inputs ? 2 : 1;
      const name = `group${group + 1}block${block}`;
      layers[name] = {
        kind: 'residual',
        main: {
          ...convNorm(inputs, outputs, 3, stride, '1'),
          relu1: relu,
          ...convNorm(outputs, outputs, 3, 1, '2'),
        },
        shortcut: stride === 1 ? null : convNorm(inputs, outputs, 1, stride),
      };
      layers[`${name}relu`] = relu;
      inputs = outputs;
    }
  }
  return { ...layers, pool: pool('avgPool', 8, 8), flat: flatten, fc: dense(64, 10) };
}

/** 3×3 convolutions as in Simonyan and Zisserman, 2015, but smaller. */
const vgg: LayerSpecs = {
  conv1: conv(3, 64, 3),
  relu1: relu,
  conv2: conv(64, 64, 3),
  relu2: relu,
  pool1: pool('maxPool', 2, 2),
  conv3: conv(64, 128, 3),
  relu3: relu,
  conv4: conv(128, 128, 3),
  relu4: relu,
  pool2: pool('maxPool', 2, 2),
  conv5: conv(128, 256, 3),
  relu5: relu,
  pool3: pool('maxPool', 2, 2),
  flat: flatten,
  fc: dense(4096, 10),
};

const mlp: LayerSpecs = {
  fc1: dense(784, 512),
  relu1: relu,
  fc2: dense(512, 512),
  relu2: relu,
  fc3: dense(512, 10),
};

/**
 * K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024. The first filters, which whiten in the recipe, are not trained. The
 * time of a step does not depend on the values of weights, so they are initialized as in the other networks.
 */
function airbench(): LayerSpecs {
  const gelu = { kind: 'gelu' } as const;
  const withoutScale = (channels: number): BatchNormSpec => ({
    ...norm(channels),
    scale: false,
    epsilon: 1e-12,
  });
  const layers: Record<string, LayerSpec> = { white: conv(3, 24, 2, { padding: 0, frozen: true }), gelu };
  let inputs = 24;
  for (const [i, outputs] of [64, 256, 256].entries()) {
    const name = `group${i + 1}`;
    Object.assign(layers, {
      [`${name}conv1`]: conv(inputs, outputs, 3, { bias: false }),
      [`${name}pool`]: pool('maxPool', 2, 2),
      [`${name}norm1`]: withoutScale(outputs),
      [`${name}gelu1`]: gelu,
      [`${name}conv2`]: conv(outputs, outputs, 3, { bias: false }),
      [`${name}norm2`]: withoutScale(outputs),
      [`${name}gelu2`]: gelu,
    });
    inputs = outputs;
  }
  const head = {
    fc: dense(inputs, 10, { bias: false }),
    factor: { kind: 'multiply', factor: 1 / 9 },
  } as const;
  return { ...layers, pool: pool('maxPool', 3, 3), flat: flatten, ...head };
}

const image = { input: [32, 32, 3], targets: 'labels' } as const;
const rates = { optimizer: 'sgd', lr: 0.001, momentum: 0.9, weightDecay: 0.004 } as const;

const zooRates = { ...rates, weightDecay: 1e-4, normalize: 'channels' } as const;

type Workloads = Readonly<
  Record<(typeof layerWorkloadNames)[number], LayerWorkload> &
    Record<(typeof zooWorkloadNames)[number], ZooWorkload>
>;

export const workloads: Workloads = {
  full: {
    name: 'full',
    title: 'Caffe full',
    batchSize: 100,
    ...image,
    classes: 10,
    layers: full,
    ...rates,
    normalize: 'mean-image',
  },
  quick: {
    name: 'quick',
    title: 'Caffe quick',
    batchSize: 100,
    ...image,
    classes: 10,
    layers: quick,
    ...rates,
    normalize: 'mean-image',
  },
  resnet20: {
    name: 'resnet20',
    title: 'ResNet-20',
    batchSize: 128,
    ...image,
    classes: 10,
    layers: resnet20(),
    ...rates,
    weightDecay: 1e-4,
    normalize: 'channels',
  },
  vgg: {
    name: 'vgg',
    title: 'VGG-like',
    batchSize: 32,
    ...image,
    classes: 10,
    layers: vgg,
    ...rates,
    lr: 1e-4, // diverges at 0.001
    weightDecay: 5e-4,
    normalize: 'channels',
  },
  mlp: {
    name: 'mlp',
    title: 'MLP',
    batchSize: 128,
    input: [784],
    targets: 'labels',
    classes: 10,
    layers: mlp,
    ...rates,
    weightDecay: 1e-4,
    normalize: 'none',
  },
  airbench: {
    name: 'airbench',
    title: 'airbench94',
    batchSize: 1024,
    ...image,
    classes: 10,
    layers: airbench(),
    ...rates,
    normalize: 'channels',
  },
  resnet18: {
    name: 'resnet18',
    title: 'ResNet-18, 224×224',
    batchSize: 16,
    input: [224, 224, 3],
    classes: 1000,
    targets: 'labels',
    zoo: { model: 'resnet18', options: { classes: 1000 } },
    ...zooRates,
  },
  'resnet18-64': {
    name: 'resnet18-64',
    title: 'ResNet-18, 64×64',
    batchSize: 64,
    input: [64, 64, 3],
    classes: 200,
    targets: 'labels',
    zoo: { model: 'resnet18', options: { classes: 200 } },
    ...zooRates,
  },
  mobilenetV2: {
    name: 'mobilenetV2',
    title: 'MobileNetV2, 224×224',
    batchSize: 16,
    input: [224, 224, 3],
    classes: 1000,
    targets: 'labels',
    zoo: { model: 'mobilenetV2', options: { classes: 1000, dropout: 0 } },
    ...zooRates,
  },
  unet: {
    name: 'unet',
    title: 'U-Net of width 32, 64×64',
    batchSize: 16,
    input: [64, 64, 3],
    classes: 4, // of shapes, with the background
    targets: 'mask',
    zoo: { model: 'unet', options: { classes: 4, width: 32 } },
    ...zooRates,
  },
  vit: {
    name: 'vit',
    title: 'Vision transformer, 32×32',
    batchSize: 64,
    ...image,
    classes: 10,
    zoo: { model: 'vit', options: { classes: 10, size: 32, patch: 4, width: 128, depth: 4, heads: 4 } },
    ...zooRates,
    optimizer: 'adamw',
    weightDecay: 0.05,
  },
};
