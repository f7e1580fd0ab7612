"""Runs a classifier that `cyclegrad export --to torch` wrote: python exported.py FOLDER IMAGES -> JSON of logits.

IMAGES is a file of bytes [N, size, size, 3]. The network is written again in PyTorch, and must take every array of the file.
"""
import json
import struct
import sys

import numpy as np
import torch
from torch import nn

folder, images = sys.argv[1:]
with open(f"{folder}/model.json") as file:
    about = json.load(file)

# The format of safetensors, without its package: the length of a header, the header as JSON, the arrays.
with open(f"{folder}/model.safetensors", "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    body = file.read()
TYPES = {"F32": np.float32, "I32": np.int32}
state = {
    name: torch.from_numpy(
        np.frombuffer(body[entry["data_offsets"][0] : entry["data_offsets"][1]], TYPES[entry["dtype"]])
        .reshape(entry["shape"])
        .copy()
    )
    for name, entry in header.items()
    if name != "__metadata__"
}


class Block(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.add_module("conv", nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
        self.add_module("norm", nn.BatchNorm2d(outputs))
        self.add_module("relu", nn.ReLU())
        self.add_module("pool", nn.MaxPool2d(2))


class Convnet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(*[Block(i, o) for i, o in [(3, 16), (16, 32), (32, 64), (64, 128)]])
        self.head = nn.Linear(128, classes)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


assert about["model"] == "convnet", about["model"]
model = Convnet(len(about["classes"]))
model.load_state_dict(state, strict=True)
model.eval()
size = about["size"]
x = torch.from_numpy(np.fromfile(images, np.uint8).reshape(-1, size, size, 3)).float()
x = (x - torch.tensor(about["mean"])) / torch.tensor(about["std"])
with torch.no_grad():
    logits = model(x.permute(0, 3, 1, 2))
print(json.dumps({"version": torch.__version__, "logits": logits.tolist()}))
