"""Exports models of PyTorch as ONNX files with an input and the output: onnx_models.py FOLDER NAME:OPSET[:training]…

With `training`, batch normalization stays, and the output is that of inference.
"""

import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / 'bench' / 'peers'))  # after torch: the folder has a torch.py
sys.path.insert(0, str(Path(__file__).parent))
from torch_models import save  # noqa: E402
from torch_zoo import (  # noqa: E402
    BasicBlock,
    ConvNeXt,
    DenseNet,
    LeNet5,
    MobileNetV2,
    ResNet,
    UNet,
    VisionTransformer,
    zero_padding,
)


class Decoder(nn.Module):
    """Resizing by scale and by size, transposed convolutions, and skip connections."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1)
        self.mix = nn.Conv2d(10, 2, 1)

    def forward(self, x):
        small = F.leaky_relu(self.down(x), 0.1)
        nearest = F.interpolate(small, scale_factor=2, mode='nearest')
        smooth = F.interpolate(small[:, :3], size=x.shape[2:], mode='bilinear', align_corners=False)
        corners = F.interpolate(self.up(small), scale_factor=1, mode='bilinear', align_corners=True)
        return self.mix(torch.cat([nearest, smooth, corners], 1))


class Shapes(nn.Module):
    """Chains of Shape, Gather and Concat, views, and reductions."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 5)
        self.scale = nn.Parameter(torch.rand(1, 6, 1, 1))

    def forward(self, x):
        n, c, h, w = x.shape
        pooled = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2, ceil_mode=True, count_include_pad=False)
        rows = x.view(n, c, h * w).transpose(1, 2)
        weights = torch.softmax(rows @ rows.transpose(1, 2) / c**0.5, dim=-1)
        mixed = (weights @ rows).permute(0, 2, 1).reshape(n, c, h, w) * self.scale
        halves = mixed.chunk(2, dim=1)
        joined = torch.cat([halves[1].clamp(min=-1), halves[0].abs().sqrt()], dim=1)
        features = torch.cat([joined.amax((2, 3)), pooled.mean((2, 3))], 1)
        return F.log_softmax(self.fc(features.unsqueeze(1).squeeze(1)), 1)


class Sequence1d(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1, groups=1)
        self.norm = nn.BatchNorm1d(4)
        self.group = nn.GroupNorm(2, 4)
        self.act = nn.PReLU(4)

    def forward(self, x):
        y = self.act(self.group(self.norm(self.conv(x))))
        return F.max_pool1d(F.elu(y), 2).flatten(1)[:, ::2]


MODELS = {
    'lenet5': (LeNet5, (1, 28, 28)),
    'resnet': (partial(ResNet, BasicBlock, [1, 1, 1], 8, 'cifar', zero_padding), (3, 16, 16)),
    'densenet': (partial(DenseNet, [1, 1], 4, 8), (3, 16, 16)),
    'mobilenet': (partial(MobileNetV2, 0.25), (3, 32, 32)),
    'convnext': (partial(ConvNeXt, [8, 16], [1, 1]), (3, 16, 16)),
    'vit': (partial(VisionTransformer, 16, 8, 16, 1, 2), (3, 16, 16)),
    'unet': (partial(UNet, 4), (3, 16, 32)),
    'decoder': (Decoder, (3, 8, 12)),
    'shapes': (Shapes, (6, 5, 7)),
    'sequence': (Sequence1d, (3, 8)),
    # for the fixtures
    'tiny': (partial(ResNet, BasicBlock, [1], 2, 'cifar'), (3, 6, 6)),
    'tiny vit': (partial(VisionTransformer, 4, 2, 4, 1, 2), (3, 4, 4)),
}


def main(folder, cases):
    for case in cases:
        name, opset, *rest = case.split(':')
        torch.manual_seed(1)
        build, shape = MODELS[name]
        model = build().eval()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)):
                    for name_of, value in [*module.named_parameters(), *module.named_buffers()]:
                        if value.is_floating_point():
                            value.uniform_(*((0.5, 1.5) if name_of in ('weight', 'running_var') else (-0.5, 0.5)))
            x = torch.randn(2, *shape)
            y = model(x)
        path = f'{folder}/{case.replace(":", "-")}'
        keeps = {'training': torch.onnx.TrainingMode.PRESERVE, 'do_constant_folding': False} if rest else {}
        axes = {'x': {0: 'N'}, 'y': {0: 'N'}}
        torch.onnx.export(
            model, x, f'{path}.onnx', opset_version=int(opset), input_names=['x'], output_names=['y'], dynamic_axes=axes, **keeps
        )
        channels_last = [0, *range(2, x.dim()), 1]
        y = y.permute(channels_last) if name == 'decoder' else y
        save(f'{path}.safetensors', {'x': x.permute(channels_last), 'y': y, **{f'state.{k}': v for k, v in model.state_dict().items()}})


main(sys.argv[1], sys.argv[2:])
