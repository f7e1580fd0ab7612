"""Loads weights in PyTorch's own models with strict=True and writes their outputs and new weights: torch_models.py NAME FOLDER."""

import json
import struct
import sys

import numpy as np
import torch
from torch import nn

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


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if hasattr(self, 'downsample') else x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for i, outputs in enumerate([64, 128, 256, 512]):
            blocks = [BasicBlock(inputs, outputs, 1 if i == 0 else 2), BasicBlock(outputs, outputs, 1)]
            setattr(self, f'layer{i + 1}', nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


torch.manual_seed(1)
torch.set_num_threads(1)
model = {'lenet5': LeNet5, 'resnet18': ResNet18}[sys.argv[1]]().eval()
folder = sys.argv[2]
x = load(f'{folder}/x.safetensors')['x'].permute(0, 3, 1, 2)
own = {name: value for name, value in model.state_dict().items() if 'num_batches' not in name}
for name, value in own.items():
    if 'running' in name or 'bn' in name:
        value.uniform_(0.5, 1.5)
save(f'{folder}/weights.safetensors', own)
results = {'own': model(x)}
model.load_state_dict(load(f'{folder}/ours.safetensors'), strict=True)
results['ours'] = model(x)
save(f'{folder}/outputs.safetensors', results)
