"""The PyTorch side of the differential test: answers cases, one JSON line each, until its input ends.

A graph is computed in double precision, in single precision, and in double precision from inputs that are changed by half
a unit in the last place. The first is the truth. The other two say how large errors may be.
Arrays are base64 of little-endian values. Images are channels last and filters [KH, KW, C, O], as in cyclegrad.
"""

import base64
import json
import sys

import numpy as np
import torch

from torch_operations import ACCURATE, OPERATIONS, Formulas
from torch_schedules import optimize, schedule

torch.set_num_threads(1)
torch.manual_seed(0)

DTYPES = {'f32': np.float32, 'i32': np.int32, 'u8': np.uint8}
HALF_ULP = 2.0**-24


def decode(array):
    data = np.frombuffer(base64.b64decode(array['data']), dtype=DTYPES[array['dtype']])
    return torch.from_numpy(np.array(data.reshape(array['shape'])))


def encode(value):
    if value._is_zerotensor():  # its memory is not initialized, which numpy() does not know
        value = torch.zeros(value.shape)
    data = np.asarray(value.detach().to(torch.float64).contiguous().numpy())
    return {'shape': list(data.shape), 'data': base64.b64encode(data.tobytes()).decode()}


def loss_of(outputs, weights):
    terms = [(y * w).sum() for y, w in zip(outputs, weights) if y.requires_grad]
    return sum(terms[1:], terms[0]) if terms else None


def gradients(loss, leaves, create_graph):
    """Gradients by the leaves. A leaf without influence has gradient 0."""
    if loss is None or not loss.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(loss, leaves, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves)]


def build(case, inputs):
    values = list(inputs)
    for node in case['nodes']:
        results = OPERATIONS[node['op']]([values[i] for i in node['args']], node['attrs'])
        values += results if isinstance(results, (list, tuple)) else [results]
    return [values[i] for i in case['outputs']]


def compute(case, dtype, inputs):
    """The outputs, the gradients, and the products of the Hessian and a vector, as far as the case asks for them."""
    typed = [x.to(dtype, copy=True) if x.is_floating_point() else x for x in inputs]
    leaves = [typed[i].requires_grad_() for i in case['wrt']] if case['order'] > 0 else []
    outputs = build(case, typed)
    results = list(outputs)
    floats = iter([decode(w).to(dtype) for w in case['weights']])
    weights = [next(floats) if y.is_floating_point() else None for y in outputs]
    if case['order'] > 0:
        slopes = gradients(loss_of(outputs, weights), leaves, case['order'] > 1)
        results += slopes
    if case['order'] > 1:
        vectors = [decode(v).to(dtype) for v in case['vectors']]
        results += gradients(loss_of(slopes, vectors), leaves, False)
    return [r.detach() for r in results]


def changed(inputs, signs):
    return [x.double() * (1 + HALF_ULP * s) if x.is_floating_point() else x for x, s in zip(inputs, signs)]


def effects(case, inputs, exact):
    """How much the results move when inputs move by half a unit in the last place."""
    if not case['perturbed']:
        return [torch.zeros_like(r.double()) for r in exact]
    floats = [i for i, x in enumerate(inputs) if x.is_floating_point() and case['inputs'][i]['isRounded']]
    if case['budget'] == 'element':
        # One input after the other, so that effects do not cancel.
        moves = [[float(i == j) for j in range(len(inputs))] for i in floats]
    else:
        draws = np.random.default_rng(case['seed'] & 0xFFFFFFFF)
        sign = lambda x: torch.from_numpy(np.asarray(draws.integers(0, 2, tuple(x.shape)) * 2.0 - 1))
        moves = [[sign(x) if i in floats else 0.0 for i, x in enumerate(inputs)] for _ in range(2)]
    total = [torch.zeros_like(r.double()) for r in exact]
    for move in moves:
        moved = compute(case, torch.float64, changed(inputs, move))
        total = [t + (m.double() - r.double()).abs() for t, m, r in zip(total, moved, exact)]
    return total


def in_single(case, inputs, exact):
    """Results in single precision. Where there are two formulas, each element is by the one that is closer to the truth."""
    native = compute(case, torch.float32, inputs)
    if not any(node['op'] in ACCURATE for node in case['nodes']):
        return native
    Formulas.accurate = True
    other = compute(case, torch.float32, inputs)
    Formulas.accurate = False
    return [closer(n, o, e) for n, o, e in zip(native, other, exact)]


def closer(one, other, exact):
    return torch.where((other - exact).abs() < (one - exact).abs(), other, one)


def graph(case):
    inputs = [decode(x) for x in case['inputs']]
    exact = compute(case, torch.float64, inputs)
    single = in_single(case, inputs, exact)
    moved = effects(case, inputs, exact)
    return [
        {'exact': encode(e), 'single': encode(s), 'moved': encode(m)} for e, s, m in zip(exact, single, moved)
    ]


def versions(_):
    return {'torch': torch.__version__, 'numpy': np.__version__, 'python': sys.version.split()[0]}


DECAYS = ('rho', 'beta1', 'beta2', 'momentum')


def run_optimizer(case):
    gradients = [decode(g) for g in case['gradients']]
    initial = [decode(p) for p in case['params']]
    exact = optimize(case, torch.float64, initial, gradients)
    single = optimize(case, torch.float32, initial, gradients)
    # Rates of decay near 1 lose digits when they are rounded to single precision.
    rounded = {name: value * (1 + HALF_ULP) if name in DECAYS else value for name, value in case['options'].items()}
    moved = optimize({**case, 'options': rounded}, torch.float64, initial, gradients)
    return [
        {'exact': encode(e), 'single': encode(s), 'moved': encode((m - e).abs())}
        for e, s, m in zip(exact, single, moved)
    ]


ANSWERS = {'graph': graph, 'optimizer': run_optimizer, 'schedule': schedule, 'versions': versions}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {'results': ANSWERS[request['kind']](request)}
    except Exception as error:  # reported with the case, which the other side prints
        answer = {'error': f'{type(error).__name__}: {error}'}
    print(json.dumps(answer), flush=True)
