"""Reads an image folder with torchvision and PyTorch's DataLoader, once for each line of stdin.

Arguments: folder, height, width, batch size, workers. Prints the versions, then {"s", "images", "mean"} for each pass.
"""

import json
import sys
import time

import PIL
import torch
import torchvision
from torch.utils.data import DataLoader
from torchvision import transforms

folder, height, width, batch_size, workers = sys.argv[1], *map(int, sys.argv[2:6])
# The largest part of the image in the middle, antialiased: what imageFolder does. Pixels stay bytes.
assert height == width, "Resize and CenterCrop take the middle of squares"
transform = transforms.Compose(
    [transforms.Resize(height), transforms.CenterCrop((height, width)), transforms.PILToTensor()]
)
dataset = torchvision.datasets.ImageFolder(folder, transform)
loader = DataLoader(dataset, batch_size, num_workers=workers, persistent_workers=workers > 0)


def answer(value):
    print(json.dumps(value), flush=True)


answer(
    {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "pillow": PIL.__version__,
        "python": sys.version.split()[0],
    }
)
for _ in sys.stdin:
    begin = time.perf_counter()
    images, mean = 0, None
    for x, y in loader:
        if mean is None:
            mean = x.double().mean().item()
        images += len(y)
    answer({"s": time.perf_counter() - begin, "images": images, "mean": mean})
