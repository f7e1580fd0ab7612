"""Writes torchvision.json: what torchvision's operations on tensors make of a small image.

Run it with torchvision 0.21: python3 -B test/augment/generate-torchvision.py. Operations on floats get the image from 0 to 1, and
their results are written in bytes with 3 decimals. Equalize and posterize get bytes, because torchvision has them for bytes only.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import RandAugment, TrivialAugmentWide, _apply_op

HEIGHT, WIDTH = 20, 17
rng = np.random.default_rng(7)
# A smooth picture with noise: histograms with gaps, and more than 255 pixels, which equalize needs.
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
waves = np.stack([120 + 70 * np.sin(x / (3 + c)) + 30 * np.cos(y / (4 - c)) for c in range(3)])
picture = np.clip(waves + rng.normal(0, 12, waves.shape), 0, 255).astype(np.uint8)
picture[1, :, :6] = picture[0, :, :6]  # ties in hue
picture[:, :3, :3] = 255
images = torch.tensor(picture)[None]
floats = images.to(torch.float32) / 255


def encode(t):  # [1, C, H, W] -> [H, W, C]
    values = t[0].permute(1, 2, 0).reshape(-1)
    return values.tolist() if t.dtype == torch.uint8 else [short(255 * v) for v in values.tolist()]


def short(value):
    number = round(value, 3)
    return int(number) if number.is_integer() else number


cases = []


def case(kind, args, result):
    cases.append({'kind': kind, 'args': args, 'y': encode(result)})


for factor in (-0.5, -0.23, 0.1, 0.5):
    case('hue', [factor], F.adjust_hue(floats, factor))
for factor in (0.0, 0.4, 1.7):
    case('sharpness', [factor], F.adjust_sharpness(floats, factor))
case('autoContrast', [], F.autocontrast(floats))
case('equalize', [], F.equalize(images))
for bits in (1, 4, 7):
    case('posterize', [bits], F.posterize(images, bits))
for threshold in (0.0, 0.5, 1.0):
    case('solarize', [threshold], F.solarize(floats, threshold))

for policy, space in (
    ('trivialAugment', TrivialAugmentWide()._augmentation_space(31)),
    ('randAugment', RandAugment()._augmentation_space(31, (HEIGHT, WIDTH))),
):
    for at, (name, (strengths, signed)) in enumerate(space.items()):
        source = images if name in ('Equalize', 'Posterize') else floats
        for level, sign in ((9, 1),) if policy == 'trivialAugment' else ((22, -1),):
            strength = float(strengths[level]) if strengths.ndim > 0 else 0.0
            strength *= sign if signed else 1
            if name == 'Solarize':  # torchvision's strengths are bytes
                strength /= 255
            y = _apply_op(source, name, strength, InterpolationMode.NEAREST, None)
            case(policy, [at, level, sign], y)

target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name('torchvision.json')
header = {'torchvision': torchvision.__version__, 'shape': [1, HEIGHT, WIDTH, 3], 'x': encode(images)}
body = ',\n'.join(json.dumps(entry, separators=(',', ':')) for entry in cases)
text = json.dumps(header, separators=(',', ':'))[:-1] + ',"cases":[\n' + body + '\n]}\n'
assert math.isfinite(sum(sum(entry['y']) for entry in cases))
target.write_text(text)
