"""Loads weights in the PyTorch models of the benchmarks with strict=True, and writes their outputs and other weights:
torch_models.py FOLDER NAME…
"""

import json
import struct
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / 'bench' / 'peers'))  # after torch: the folder has a torch.py
from torch_zoo import (  # noqa: E402
    BasicBlock,
    Bottleneck,
    ConvNeXt,
    DenseNet,
    LeNet5,
    MobileNetV2,
    ResNet,
    UNet,
    VisionTransformer,
    WideResNet,
    zero_padding,
)

TYPES = {'F32': np.float32, 'I32': np.int32}


def load(path):
    with open(path, 'rb') as file:
        (length,) = struct.unpack('<Q', file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop('__metadata__', None)
    return {
        name: torch.from_numpy(
            np.frombuffer(data[slice(*entry['data_offsets'])], TYPES[entry['dtype']]).reshape(entry['shape']).copy()
        )
        for name, entry in header.items()
    }


def save(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.detach().to(torch.float32).contiguous().numpy().tobytes()
        header[name] = {'dtype': 'F32', 'shape': list(tensor.shape), 'data_offsets': [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + b''.join(blobs))


MODELS = {
    # small, for the short form of the tests
    'lenet5': LeNet5,
    'resnet18 of width 8': partial(ResNet, BasicBlock, [2, 2, 2, 2], 8),
    'resnet50 of width 4, CIFAR stem': partial(ResNet, Bottleneck, [3, 4, 6, 3], 4, 'cifar'),
    'resnet20': partial(ResNet, BasicBlock, [3, 3, 3], 16, 'cifar', zero_padding),
    'WRN-16-1': partial(WideResNet, 16, 1),
    'DenseNet-10-4': partial(DenseNet, [2, 2, 2], 4, 16, bottleneck=False, compression=1),
    'DenseNet-BC-16-4': partial(DenseNet, [2, 2, 2], 4, 8),
    'mobilenetV2 of width 0.25': partial(MobileNetV2, 0.25),
    'small convnext': partial(ConvNeXt, [8, 16, 24, 32], [1, 1, 2, 1]),
    'small vit': partial(VisionTransformer, 32, 8, 32, 2, 4),
    'unet of width 4': partial(UNet, 4),
    # as published
    'resnet18': partial(ResNet, BasicBlock, [2, 2, 2, 2], 64),
    'resnet34': partial(ResNet, BasicBlock, [3, 4, 6, 3], 64),
    'resnet50': partial(ResNet, Bottleneck, [3, 4, 6, 3], 64),
    'WRN-16-4': partial(WideResNet, 16, 4),
    'DenseNet-40-12': partial(DenseNet, [12, 12, 12], 12, 16, bottleneck=False, compression=1),
    'DenseNet-BC-100-12': partial(DenseNet, [16, 16, 16], 12, 24),
    'densenet121': partial(DenseNet, [6, 12, 24, 16], 32, 64, 'imagenet'),
    'mobilenetV2': partial(MobileNetV2, 1),
    'convnextTiny': partial(ConvNeXt, [96, 192, 384, 768], [3, 3, 9, 3]),
    'vit for CIFAR': partial(VisionTransformer, 32, 4, 128, 4, 4),
    'vitB16': partial(VisionTransformer, 64, 16, 768, 12, 12),
    'unet': partial(UNet, 64),
}


@torch.no_grad()
def compare(name, folder):
    torch.manual_seed(1)
    model = MODELS[name]().eval()
    x = load(f'{folder}/x.safetensors')['x'].permute(0, 3, 1, 2)
    own = {key: value for key, value in model.state_dict().items() if 'num_batches' not in key}
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            for value in [*module.parameters(), *module.buffers()]:
                if value.is_floating_point():
                    value.uniform_(0.5, 1.5)
    save(f'{folder}/weights.safetensors', own)
    results = {'own': model(x)}
    model.load_state_dict(load(f'{folder}/ours.safetensors'), strict=True)
    results['ours'] = model(x)
    save(f'{folder}/outputs.safetensors', results)


if __name__ == '__main__':
    torch.set_num_threads(1)
    for number, name in enumerate(sys.argv[2:]):
        compare(name, f'{sys.argv[1]}/{number}')
