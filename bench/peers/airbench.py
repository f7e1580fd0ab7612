"""The recipe of examples/airbench.ts in PyTorch, for comparison: one seed, from the files to the accuracy with six views.

    LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 \
    MALLOC_CONF=oversize_threshold:1,background_thread:true,dirty_decay_ms:-1,muzzy_decay_ms:-1 \
    python3 bench/peers/airbench.py --data ~/.cache/cyclegrad/cifar10/cifar-10-batches-bin --json airbench-torch.json

It saves its state after every epoch to the file of --checkpoint and resumes from it. Times are those of all processes of the run, with
the reading of the data. --steps ends after some steps without an evaluation, to try it.
Source of the recipe: K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024.
"""
import argparse
import json
import math
import os
import platform
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

STARTED = time.perf_counter(), time.process_time()
EPOCHS, BATCH, WIDTHS = 9.9, 1024, (64, 256, 256)
MOMENTUM, SMOOTHING, BIAS_FACTOR, WHITENING_EPOCHS = 0.85, 0.2, 64, 3
NESTEROV_GAIN = 1 + 1 / (1 - MOMENTUM)
LR = 11.5 / NESTEROV_GAIN  # for the mean loss of a batch
DECAY = 0.0153 / NESTEROV_GAIN  # of a step, independent of the rate
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def read(folder, names):
    rows = np.concatenate([np.fromfile(os.path.join(folder, name), np.uint8).reshape(-1, 3073) for name in names])
    x = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32)) / 255
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    return (x - mean) / std, torch.from_numpy(rows[:, 0].astype(np.int64))


def conv(inputs, outputs):
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def norm(channels):
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def group(inputs, outputs):
    return nn.Sequential(
        conv(inputs, outputs), nn.MaxPool2d(2), norm(outputs), nn.GELU(),
        conv(outputs, outputs), norm(outputs), nn.GELU())


class Airbench(nn.Module):
    def __init__(self, images):
        super().__init__()
        self.white = nn.Conv2d(3, 24, 2)
        self.white.weight.requires_grad = False
        nn.init.zeros_(self.white.bias)
        patches = F.unfold(images, 2).transpose(1, 2).reshape(-1, 12).double()
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).float()
        self.white.weight.data = torch.cat((filters, -filters))
        a, b, c = WIDTHS
        self.body = nn.Sequential(group(24, a), group(a, b), group(b, c), nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(c, 10, bias=False)

    def forward(self, x):
        return self.head(self.body(F.gelu(self.white(x)))) / 9


def augmented(images, flipped, epoch):
    """A random crop of every padded image. Each is mirrored in every other epoch."""
    count = len(images)
    padded = F.pad(images, (2,) * 4, 'reflect')
    rows, columns = torch.randint(0, 5, (2, count))
    pixels = torch.arange(32)
    at = torch.arange(count).reshape(-1, 1, 1)
    crops = padded.permute(0, 2, 3, 1)[at, rows.reshape(-1, 1, 1) + pixels.reshape(1, -1, 1),
                                       columns.reshape(-1, 1, 1) + pixels.reshape(1, 1, -1)].permute(0, 3, 1, 2)
    mirrored = (flipped if epoch % 2 == 0 else ~flipped).reshape(-1, 1, 1, 1)
    return torch.where(mirrored, crops.flip(-1), crops)


def rate(step, steps):
    peak = int(0.23 * steps)
    if step < peak:
        return 0.2 + 0.8 * step / peak
    return 1 - 0.93 * (step - peak) / (steps - peak)


def six_views(model, x):
    def both(image):
        return model(image) + model(image.flip(-1))

    padded = F.pad(x, (1,) * 4, 'reflect')
    return (2 * both(x) + both(padded[:, :, :32, :32]) + both(padded[:, :, 2:, 2:])) / 8


def accuracy(model, predict, x, y):
    model.eval()
    with torch.no_grad():
        outputs = torch.cat([predict(part.contiguous(memory_format=torch.channels_last)) for part in x.split(500)])
    return (outputs.argmax(1) == y).float().mean().item()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--data', required=True, help='folder of data_batch_1.bin to data_batch_5.bin and test_batch.bin')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--steps', type=int, help='end after this many steps, without an evaluation')
    parser.add_argument('--checkpoint', help='file of the state after an epoch, to resume from')
    parser.add_argument('--json', help='file of the result')
    return parser.parse_args()


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    x, y = read(options.data, [f'data_batch_{i}.bin' for i in range(1, 6)])
    test_x, test_y = read(options.data, ['test_batch.bin'])
    model = Airbench(x[:5000]).to(memory_format=torch.channels_last)
    biases = [p for name, p in model.named_parameters() if name.startswith('body') and name.endswith('bias')]
    others = [p for name, p in model.named_parameters() if p.requires_grad and all(p is not bias for bias in biases)]
    optimizer = torch.optim.SGD([
        {'params': biases, 'lr': LR * BIAS_FACTOR, 'weight_decay': DECAY / (LR * BIAS_FACTOR)},
        {'params': others, 'lr': LR, 'weight_decay': DECAY / LR},
    ], momentum=MOMENTUM, nesterov=True, fused=True)
    per_epoch = len(x) // BATCH  # the incomplete batch at the end is dropped
    steps = math.ceil(EPOCHS * per_epoch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    slow = None
    flipped = torch.rand(len(x)) < 0.5
    step, earlier, processes, times = 0, (0.0, 0.0), 1, []

    def spent():
        return tuple(before + now - begin for before, now, begin in
                     zip(earlier, (time.perf_counter(), time.process_time()), STARTED))

    if options.checkpoint and os.path.exists(options.checkpoint):
        saved = torch.load(options.checkpoint, weights_only=True)
        model.load_state_dict(saved['model'])
        optimizer.load_state_dict(saved['optimizer'])
        schedule.load_state_dict(saved['schedule'])
        torch.set_rng_state(saved['rng'])
        slow, flipped, step = saved['slow'], saved['flipped'], saved['step']
        earlier, processes = tuple(saved['spent']), saved['processes'] + 1
    while step < steps and step != options.steps:
        epoch = step // per_epoch
        model.white.bias.requires_grad = epoch < WHITENING_EPOCHS
        model.train()
        images, order = augmented(x, flipped, epoch), torch.randperm(len(x))
        for batch in order.split(BATCH)[:per_epoch]:
            begin = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            outputs = model(images[batch].contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(outputs, y[batch], label_smoothing=SMOOTHING)
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            state = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
            if epoch >= WHITENING_EPOCHS and step % 5 == 0:
                if slow is None:
                    slow = {name: value.clone() for name, value in state.items()}
                for name, value in state.items():
                    slow[name].lerp_(value, 1 - 0.95 ** 5 * (step / steps) ** 3)
                    value.copy_(slow[name])
            if step == steps:
                for name, value in state.items():
                    value.copy_(slow[name])
            times.append(time.perf_counter() - begin)
            print(f'step {step}/{steps}: loss {loss.item():.4f}, {times[-1] * 1000:.0f} ms', flush=True)
            if step in (steps, options.steps):
                break
        if options.checkpoint and step % per_epoch == 0:
            torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict(), 'rng': torch.get_rng_state(),
                        'schedule': schedule.state_dict(), 'slow': slow, 'flipped': flipped, 'step': step,
                        'spent': spent(), 'processes': processes}, f'{options.checkpoint}.new')
            os.replace(f'{options.checkpoint}.new', options.checkpoint)
    result = {
        'seed': options.seed, 'steps': step, 'batchSize': BATCH, 'threads': torch.get_num_threads(),
        'medianStepMs': sorted(times)[len(times) // 2] * 1000,
        'versions': {'torch': torch.__version__, 'python': platform.python_version()},
        'preload': os.environ.get('LD_PRELOAD'), 'mallocConf': os.environ.get('MALLOC_CONF'),
        'processes': processes, 'date': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
    }
    if step == steps:
        result['accuracy'] = {'sixViews': accuracy(model, lambda part: six_views(model, part), test_x, test_y)}
    result['wallMs'], result['cpuMs'] = (round(seconds * 1000) for seconds in spent())
    if step == steps:
        result['accuracy']['plain'] = accuracy(model, model, test_x, test_y)
    print(json.dumps(result))
    if options.json:
        with open(options.json, 'w') as file:
            file.write(json.dumps(result) + '\n')


main()
