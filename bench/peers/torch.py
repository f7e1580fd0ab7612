"""PyTorch's side of the benchmarks: a child process of torch.ts that speaks lines of JSON over stdin and stdout.

    {"cmd": "hello", "threads": 2}                         -> versions, and the threads that PyTorch says it uses
    {"cmd": "network", "workload": ..., "layout": ..., "device": "cpu" | "cuda" | "cuda graph", "data": path, "arrays": [...]}
                                                           -> {"parameters": n, "fused": whether the optimizer is fused SGD}
    {"cmd": "matmul", "n": 512, "chain": 4}                -> {}
    {"cmd": "conv", "pass": "forward", "batch": ..., ...}  -> {}
    {"cmd": "turn", "skip": 1, "count": 5}                 -> {"ms": [...], "losses": [...]} of what was built last

Between turns it waits in a blocking read, so it takes no time from anybody else. A failure answers {"error": message}.
"""
import inspect
import json
import os
import sys
import time

folder = sys.path.pop(0)  # where `torch` would be this file

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.append(folder)
from torch_zoo import ZOO

MEMORY_FORMATS = {'channels_last': torch.channels_last, 'contiguous': torch.contiguous_format}


class Lrn(nn.Module):
    """Within a channel, as Caffe has it: PyTorch has no operation for it."""

    def __init__(self, size, alpha, beta):
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x):
        mean = F.avg_pool2d(x * x, self.size, stride=1, padding=self.size // 2)
        return x * (1 + self.alpha * mean).pow(-self.beta)


class Multiply(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Residual(nn.Module):
    def __init__(self, main, shortcut):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x):
        return self.main(x) + (x if self.shortcut is None else self.shortcut(x))


def build(specs):
    return nn.Sequential(*map(layer, specs.values()))


def layer(spec):
    kind = spec['kind']
    if kind == 'conv':
        conv = nn.Conv2d(spec['inputs'], spec['outputs'], spec['kernel'], stride=spec['stride'],
                         padding=int(spec['padding']), bias=spec['bias'])
        conv.weight.requires_grad = not spec['frozen']
        return conv
    if kind == 'dense':
        return nn.Linear(spec['inputs'], spec['outputs'], bias=spec['bias'])
    if kind == 'maxPool':
        return nn.MaxPool2d(spec['kernel'], spec['stride'], ceil_mode=spec['ceil'])
    if kind == 'avgPool':
        return nn.AvgPool2d(spec['kernel'], spec['stride'], ceil_mode=spec['ceil'])
    if kind == 'lrn':
        return Lrn(spec['size'], spec['alpha'], spec['beta'])
    if kind == 'batchNorm':
        norm = nn.BatchNorm2d(spec['channels'], eps=spec['epsilon'])
        norm.weight.requires_grad = spec['scale']
        return norm
    if kind == 'residual':
        return Residual(build(spec['main']), None if spec['shortcut'] is None else build(spec['shortcut']))
    if kind == 'relu':
        return nn.ReLU(inplace=True)
    if kind == 'gelu':
        return nn.GELU()
    if kind == 'multiply':
        return Multiply(spec['factor'])
    if kind == 'flatten':
        return nn.Flatten()
    raise ValueError(f'unknown layer {kind}')


def walk(specs, modules, path=''):
    """Every layer with its path, its module, and whether a flatten came right before it."""
    flat = False
    for (name, spec), module in zip(specs.items(), modules):
        at = f'{path}.{name}' if path else name
        if spec['kind'] == 'residual':
            yield from walk(spec['main'], module.main, f'{at}.main')
            if spec['shortcut'] is not None:
                yield from walk(spec['shortcut'], module.shortcut, f'{at}.shortcut')
        else:
            yield at, spec, module, flat
        flat = spec['kind'] == 'flatten'


def read_arrays(request):
    data = np.fromfile(request['data'], dtype=np.uint8)
    arrays = {}
    for item in request['arrays']:
        dtype = np.dtype({'f32': '<f4', 'i32': '<i4'}[item['dtype']])
        count = int(np.prod(item['shape'], dtype=np.int64))
        start = item['offset']
        flat = data[start:start + count * dtype.itemsize].view(dtype)
        arrays[item['name']] = torch.from_numpy(flat.reshape(item['shape']).copy())
    return arrays


def trained(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def start_weights(model, specs, arrays, image):
    """Copies our initial weights into the layers that have them; returns the optimizer's groups."""
    groups = {}
    used = 0

    def place(parameter, value, factors):
        nonlocal used
        with torch.no_grad():
            parameter.copy_(value)
        if parameter.requires_grad:
            groups.setdefault((factors['lr'], factors['decay']), []).append(parameter)
            used += 1

    one = {'lr': 1, 'decay': 1}
    channels = None
    for path, spec, module, after_flatten in walk(specs, model):
        if spec['kind'] == 'conv':
            place(module.weight, arrays[f'{path}.weight'].permute(3, 2, 0, 1), one)
            channels = spec['outputs']
            if spec['bias']:
                place(module.bias, arrays[f'{path}.bias'], spec['biasFactors'])
        elif spec['kind'] == 'dense':
            weight = arrays[f'{path}.weight']
            if after_flatten and image:
                # Rows are [pixel, channel] with us and [channel, pixel] here.
                pixels = spec['inputs'] // channels
                weight = weight.reshape(pixels, channels, -1).transpose(0, 1).reshape(spec['inputs'], -1)
            place(module.weight, weight.T, spec['weightFactors'])
            if spec['bias']:
                place(module.bias, arrays[f'{path}.bias'], spec['biasFactors'])
        elif spec['kind'] == 'batchNorm':
            if spec['scale']:
                place(module.weight, arrays[f'{path}.gamma'], one)
            place(module.bias, arrays[f'{path}.beta'], one)
    if used != len(trained(model)):
        raise ValueError(f'{used} trained parameters were given, but the network has {len(trained(model))}')
    return groups


def network(request):
    workload = request['workload']
    memory_format = MEMORY_FORMATS[request['layout']]
    arrays = read_arrays(request)
    x, labels = arrays.pop('batch.x'), arrays.pop('batch.labels').long()
    image = x.dim() == 4
    device = 'cpu' if request['device'] == 'cpu' else 'cuda'
    if 'zoo' in workload:
        model = ZOO[workload['zoo']['model']](**workload['zoo']['options'])
        model.load_state_dict(arrays)
        groups = {(1, 1): list(model.parameters())}
    else:
        model = build(workload['layers'])
        groups = start_weights(model, workload['layers'], arrays, image)
    if image:
        model = model.to(memory_format=memory_format)
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    model.train()
    # Groups hold the parameters themselves, which moving to another device keeps.
    model, x, labels = model.to(device), x.to(device), labels.to(device)
    lr, decay = workload['lr'], workload['weightDecay']
    params = [{'params': params, 'lr': lr * rate, 'weight_decay': decay * factor}
              for (rate, factor), params in groups.items()]
    adamw = workload['optimizer'] == 'adamw'
    kind = torch.optim.AdamW if adamw else torch.optim.SGD
    fused = device == 'cpu' and has_fused(kind)
    options = {} if adamw else {'momentum': workload['momentum']}
    if adamw and request['device'] == 'cuda graph':
        options['capturable'] = True
    optimizer = kind(params, lr=lr, **options, **({'fused': True} if fused else {}))

    def update():
        loss = F.cross_entropy(model(x).movedim(-1, 1), labels)
        loss.backward()
        optimizer.step()
        return loss

    def step():
        optimizer.zero_grad(set_to_none=True)
        return update().item()

    if request['device'] == 'cuda graph':
        step = graphed(model, optimizer, update)
    return step, {'parameters': sum(p.numel() for p in trained(model)), 'fused': fused}


def has_fused(kind):
    """Whether this version has the optimizer in a fused form for the CPU. Some versions have the option for CUDA alone, and throw."""
    if 'fused' not in inspect.signature(kind).parameters:
        return False
    try:
        kind([torch.ones(1, requires_grad=True)], lr=0.1, fused=True)
        return True
    except RuntimeError:
        return False


def graphed(model, optimizer, update):
    """The whole step as one CUDA graph, as PyTorch's notes on CUDA graphs have it: warm up beside, capture, replay."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            update()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        loss = update()
    # Warming up has trained: back to the beginning, in the memory that the graph knows.
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(before[name])
        for slots in optimizer.state.values():
            for value in slots.values():
                value.zero_()

    def step():
        graph.replay()
        return loss.item()

    return step


def matmul(request):
    n, chain = request['n'], request['chain']
    a, b = torch.rand(n, n) - 0.5, torch.rand(n, n) - 0.5

    def products():
        y = a
        for _ in range(chain):
            y = torch.mm(y, b)
        return y[0, 0].item()

    return products, {}


def conv(request):
    memory_format = MEMORY_FORMATS[request['layout']]
    batch, size, kernel = request['batch'], request['size'], request['kernel']
    inputs, outputs = request['inputs'], request['outputs']
    x = (torch.rand(batch, inputs, size, size) - 0.5).contiguous(memory_format=memory_format)
    w = (torch.rand(outputs, inputs, kernel, kernel) - 0.5).contiguous(memory_format=memory_format)
    g = (torch.rand(batch, outputs, size, size) - 0.5).contiguous(memory_format=memory_format)
    pad = kernel // 2
    if request['pass'] == 'forward':
        return lambda: F.conv2d(x, w, padding=pad)[0, 0, 0, 0].item(), {}
    index = {'gradInput': 0, 'gradWeight': 1}[request['pass']]
    mask = [index == 0, index == 1, False]

    def backward():
        result = torch.ops.aten.convolution_backward(g, x, w, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1, mask)
        return result[index][0, 0, 0, 0].item()

    return backward, {}


def libraries():
    """The paths of all loaded libraries; None where that does not show, as this is not Linux."""
    try:
        with open('/proc/self/maps') as maps:
            return ' '.join({os.path.realpath(line.split()[-1]) for line in maps if '.so' in line}).lower()
    except OSError:
        return None


def allocator():
    """Which library allocates memory; None where that does not show."""
    loaded = libraries()
    if loaded is None:
        return None
    names = ['jemalloc', 'tcmalloc', 'mimalloc']
    return next((name for name in names if f'lib{name}' in loaded), 'glibc' if 'libc.so.6' in loaded else None)


def blas():
    """Which library multiplies matrices; None where that does not show, as it is linked in or this is not Linux."""
    torch.ones(2, 2) @ torch.ones(2, 2)
    loaded = libraries()
    if loaded is None:
        return None
    for name, mark in [('OpenBLAS', 'libopenblas'), ('MKL', 'libmkl'), ('BLIS', 'libblis'), ('ATLAS', 'atlas')]:
        if mark in loaded:
            return name
    return 'reference' if 'libblas.so' in loaded else None


def hello(request):
    torch.set_num_threads(request['threads'])
    torch.manual_seed(1)
    return {
        'torch': torch.__version__,
        'python': sys.version.split()[0],
        'threads': torch.get_num_threads(),
        'mkldnn': torch.backends.mkldnn.is_available(),
        'cpu': next((line.split(': ')[1].strip() for line in torch.__config__.show().splitlines()
                     if 'CPU capability usage' in line), None),
        'blas': blas(),
        'allocator': allocator(),
        'allocatorSettings': os.environ.get('MALLOC_CONF'),
        'cuda': torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def turn(step, request):
    for _ in range(request['skip']):
        step()
    ms, losses = [], []
    for _ in range(request['count']):
        begin = time.perf_counter()
        loss = step()
        ms.append((time.perf_counter() - begin) * 1000)
        losses.append(loss)
    return {'ms': ms, 'losses': losses}


def main():
    # Nothing but answers may reach the pipe.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    builders = {'network': network, 'matmul': matmul, 'conv': conv}
    step = None
    for line in iter(sys.stdin.readline, ''):
        request = json.loads(line)
        command = request['cmd']
        try:
            if command == 'hello':
                answer = hello(request)
            elif command == 'turn':
                with torch.enable_grad() if request.get('grad', True) else torch.no_grad():
                    answer = turn(step, request)
            else:
                step = None  # gives back the memory of what was built before
                step, answer = builders[command](request)
        except Exception as error:
            answer = {'error': f'{type(error).__name__}: {error}'}
        answers.write(json.dumps(answer) + '\n')
        answers.flush()


main()
