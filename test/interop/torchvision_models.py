"""Exports models of torchvision with random weights as ONNX files, with an input and the outputs: torchvision_models.py FOLDER NAME…"""

import sys
import warnings
from pathlib import Path

import torch
import torchvision
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from torch_models import save  # noqa: E402

OPSET = 17

# The side of the images, and the options of models whose options depend on it.
SIZES = {
    'resnet18': 64,
    'resnext50_32x4d': 64,
    'regnet_x_400mf': 64,
    'mobilenet_v2': 64,
    'mobilenet_v3_small': 64,
    'mnasnet0_5': 64,
    'shufflenet_v2_x0_5': 64,
    'efficientnet_b0': 64,
    'efficientnet_v2_s': 64,
    'vit_b_16': 32,
    'swin_t': 64,
    'convnext_tiny': 64,
    'squeezenet1_1': 64,
    'densenet121': 64,
    'googlenet': 64,
    'inception_v3': 96,
    'segmentation.lraspp_mobilenet_v3_large': 64,
    'segmentation.fcn_resnet50': 64,
    'segmentation.deeplabv3_mobilenet_v3_large': 64,
}
OPTIONS = {
    'vit_b_16': {'image_size': 32},
    'googlenet': {'aux_logits': False},
    'inception_v3': {'aux_logits': False},
}


class Output(nn.Module):
    """A segmentation model has a dictionary of outputs."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)['out']


def build(name):
    torch.manual_seed(1)
    options = OPTIONS.get(name, {})
    if name.startswith('segmentation.'):
        short = name.split('.')[1]
        return Output(torchvision.models.get_model(short, weights=None, weights_backbone=None, num_classes=4, **options))
    if name in ('googlenet', 'inception_v3'):
        options = {**options, 'init_weights': True}
    return torchvision.models.get_model(name, weights=None, num_classes=10, **options)


@torch.no_grad()
def randomize(model):
    """Statistics and factors of normalization that matter."""
    for module in model.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)):
            for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                if value.is_floating_point():
                    value.uniform_(*((0.5, 1.5) if name in ('weight', 'running_var') else (-0.5, 0.5)))


@torch.no_grad()
def fill_heads(model):
    """Heads that are initialized with zeros give the same output for any input."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            module.weight.normal_(0, 0.1)


def main(folder, names):
    for name in names:
        model = build(name).eval()
        randomize(model)
        fill_heads(model)
        size = SIZES[name]
        x = torch.randn(2, 3, size, size)
        with torch.no_grad():
            y = model(x)
        axes = {'x': {0: 'N'}, 'y': {0: 'N'}}
        torch.onnx.export(
            model, (x,), f'{folder}/{name}.onnx', dynamo=False, opset_version=OPSET, input_names=['x'], output_names=['y'], dynamic_axes=axes
        )
        images = y.dim() == 4
        save(f'{folder}/{name}.safetensors', {'x': x.permute(0, 2, 3, 1), 'y': y.permute(0, 2, 3, 1) if images else y})


if __name__ == '__main__':
    warnings.simplefilter('ignore')
    if sys.argv[1:] == ['--list']:
        print('\n'.join(SIZES))
    else:
        main(sys.argv[1], sys.argv[2:])
