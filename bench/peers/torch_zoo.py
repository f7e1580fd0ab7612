"""The models of cyclegrad's zoo in PyTorch. They have the names of torchvision's, where it has the model.

Images are [N, C, H, W]. Logits are [N, classes], and [N, H, W, classes] from the U-Net.
"""

from functools import partial

import torch
from torch import nn

relu = partial(nn.functional.relu, inplace=True)  # as in torchvision


def relu_bn(channels, activation=nn.ReLU):
    return [nn.BatchNorm2d(channels), activation(inplace=True)]


class LeNet5(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))))


def projection(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ZeroPadding(nn.Module):
    def __init__(self, extra):
        super().__init__()
        self.before, self.after = extra // 2, extra - extra // 2

    def forward(self, x):
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


def zero_padding(inputs, outputs, stride):
    return None if stride == 1 and inputs == outputs else ZeroPadding(outputs - inputs)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """The ImageNet stem has a 7 x 7 convolution and a pooling layer, the CIFAR stem a 3 x 3 convolution."""

    def __init__(self, block, blocks, width, stem='imagenet', shortcut=projection, classes=10):
        super().__init__()
        self.pools = stem == 'imagenet'
        self.conv1 = nn.Conv2d(3, width, *((7, 2, 3) if self.pools else (3, 1, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages, inputs = len(blocks), width
        for i, count in enumerate(blocks):
            layers = []
            for j in range(count):
                layers.append(block(inputs, width << i, 2 if i > 0 and j == 0 else 1, shortcut))
                inputs = block.expansion * (width << i)
            setattr(self, f'layer{i + 1}', nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        x = torch.max_pool2d(x, 3, 2, 1) if self.pools else x
        for i in range(self.stages):
            x = getattr(self, f'layer{i + 1}')(x)
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.convShortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        active = torch.relu(self.bn1(x))
        y = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        return y + (x if self.convShortcut is None else self.convShortcut(active))


class WideStage(nn.Module):
    def __init__(self, inputs, outputs, count, stride):
        super().__init__()
        rest = [WideBlock(outputs, outputs, 1) for _ in range(count - 1)]
        self.layer = nn.Sequential(WideBlock(inputs, outputs, stride), *rest)

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    def __init__(self, depth, widen, classes=10):
        super().__init__()
        count, widths = (depth - 4) // 6, [16 * widen, 32 * widen, 64 * widen]
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1 = WideStage(16, widths[0], count, 1)
        self.block2 = WideStage(widths[0], widths[1], count, 2)
        self.block3 = WideStage(widths[1], widths[2], count, 2)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(torch.relu(self.bn1(x)).mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth, bottleneck):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.narrows = bottleneck
        if bottleneck:
            self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(4 * growth)
            self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(inputs, growth, 3, 1, 1, bias=False)

    def forward(self, x):
        y = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(y))) if self.narrows else y], 1)


class DenseNet(nn.Module):
    def __init__(self, blocks, growth, first, stem='cifar', bottleneck=True, compression=0.5, classes=10):
        super().__init__()
        self.features = nn.Sequential()
        if stem == 'cifar':
            self.features.add_module('conv0', nn.Conv2d(3, first, 3, 1, 1, bias=False))
        else:
            self.features.add_module('conv0', nn.Conv2d(3, first, 7, 2, 3, bias=False))
            self.features.add_module('norm0', nn.BatchNorm2d(first))
            self.features.add_module('relu0', nn.ReLU())
            self.features.add_module('pool0', nn.MaxPool2d(3, 2, 1))
        width = first
        for i, count in enumerate(blocks):
            block = nn.Sequential()
            for j in range(count):
                block.add_module(f'denselayer{j + 1}', DenseLayer(width, growth, bottleneck))
                width += growth
            self.features.add_module(f'denseblock{i + 1}', block)
            if i == len(blocks) - 1:
                break
            narrowed = int(width * compression)
            transition = nn.Sequential()
            transition.add_module('norm', nn.BatchNorm2d(width))
            transition.add_module('relu', nn.ReLU())
            transition.add_module('conv', nn.Conv2d(width, narrowed, 1, bias=False))
            transition.add_module('pool', nn.AvgPool2d(2))
            self.features.add_module(f'transition{i + 1}', transition)
            width = narrowed
        self.features.add_module(f'norm{len(blocks) + 1}', nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        return self.classifier(torch.relu(self.features(x)).mean((2, 3)))


def filtered(inputs, outputs, kernel, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([filtered(inputs, wide, 1)] if expansion > 1 else []),
            filtered(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


def divisible(width):
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class MobileNetV2(nn.Module):
    STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self, width=1, classes=10, dropout=0.2):
        super().__init__()
        inputs, last = divisible(32 * width), divisible(1280 * max(1, width))
        layers = [filtered(3, inputs, 3, 2)]
        for expansion, channels, count, stride in self.STAGES:
            for i in range(count):
                outputs = divisible(channels * width)
                layers.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*layers, filtered(inputs, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class ChannelNorm(nn.LayerNorm):
    """Layer normalization over the channels of images [N, C, H, W]."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(*self.axes)


class ConvNeXtBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 0.5))

    def forward(self, x):
        return x + self.layer_scale * self.block(x)


class ConvNeXt(nn.Module):
    def __init__(self, widths, blocks, classes=10):
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], eps=1e-6))]
        for i, (width, count) in enumerate(zip(widths, blocks)):
            if i > 0:
                before = widths[i - 1]
                layers.append(nn.Sequential(ChannelNorm(before, eps=1e-6), nn.Conv2d(before, width, 2, 2)))
            layers.append(nn.Sequential(*[ConvNeXtBlock(width) for _ in range(count)]))
        self.features = nn.Sequential(*layers)
        last = widths[-1]
        self.classifier = nn.Sequential(ChannelNorm(last, eps=1e-6), nn.Flatten(1), nn.Linear(last, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


class EncoderBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        linear = [nn.Linear(width, 4 * width), nn.Linear(4 * width, width)]
        self.mlp = nn.Sequential(linear[0], nn.GELU(), nn.Dropout(0.0), linear[1], nn.Dropout(0.0))

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.self_attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    def __init__(self, tokens, width, depth, heads):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, tokens, width))
        self.layers = nn.Sequential()
        for i in range(depth):
            self.layers.add_module(f'encoder_layer_{i}', EncoderBlock(width, heads))
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        return self.ln(self.layers(x + self.pos_embedding))


class VisionTransformer(nn.Module):
    def __init__(self, size, patch, width, depth, heads, classes=10):
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.conv_proj = nn.Conv2d(3, width, patch, patch)
        self.encoder = Encoder((size // patch) ** 2 + 1, width, depth, heads)
        self.heads = nn.Sequential()
        self.heads.add_module('head', nn.Linear(width, classes))

    def forward(self, x):
        tokens = self.conv_proj(x).flatten(2).permute(0, 2, 1)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), tokens], 1)
        return self.heads(self.encoder(tokens)[:, 0])


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            *relu_bn(outputs),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            *relu_bn(outputs),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, 2 * inputs))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, 2)
        self.conv = DoubleConv(inputs, inputs // 2)

    def forward(self, small, large):
        return self.conv(torch.cat([large, self.up(small)], 1))


class OutConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self, width=64, classes=2):
        super().__init__()
        self.inc = DoubleConv(3, width)
        for i in range(4):
            setattr(self, f'down{i + 1}', Down(width << i))
            setattr(self, f'up{i + 1}', Up(width << (4 - i)))
        self.outc = OutConv(width, classes)

    def forward(self, x):
        levels = [self.inc(x)]
        for i in range(4):
            levels.append(getattr(self, f'down{i + 1}')(levels[-1]))
        y = levels.pop()
        for i in range(4):
            y = getattr(self, f'up{i + 1}')(y, levels.pop())
        return self.outc(y).permute(0, 2, 3, 1)


# By the name of the function of the zoo. The options have its names.
ZOO = {
    'resnet18': lambda width=64, **options: ResNet(BasicBlock, [2, 2, 2, 2], width, **options),
    'mobilenetV2': MobileNetV2,
    'unet': UNet,
    'vit': VisionTransformer,
}
