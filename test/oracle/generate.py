"""Writes pytorch.json: small cases that the engine's operations, optimizers and training step are compared with.

Everything is computed in double precision. Inputs are short binary fractions, exact in float32, so that a
single-precision backend starts from the same numbers; results have 9 significant digits. The JSON is channels
last throughout: images [N,H,W,C], filters [KH,KW,C,O], dense weights [in,out]. What torch does not have
(Caffe's solvers, the within-channel LRN) is composed here, and conventions on which torch and Caffe might differ
are asserted against literal loops, so that a torch of another version cannot change them unseen.
"""

import json
import sys
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common import case, cases, close, compact, distinct, draw, encode, last, lines, planes, reseed, rng, short

optimizers = []


# ---- convolution ----------------------------------------------------------------------------------------------

def conv(x, w, stride, pad, bias=None):
    return last(F.conv2d(planes(x), w.permute(3, 2, 0, 1), bias, stride=stride, padding=pad))


def conv_case(name, n, h, w, c, kh, kw, o, stride, pad):
    case('conv2d', name, {'stride': stride, 'pad': pad},
         {'x': draw((n, h, w, c), -2, 2, 8), 'w': draw((kh, kw, c, o), -1, 1, 8)},
         lambda x, w: {'y': conv(x, w, stride, pad)})


conv_case('3x3, stride 1, no pad, odd channels', 2, 5, 6, 3, 3, 3, 5, [1, 1], [0, 0])
conv_case('3x3, stride 1, pad 1, 1 -> 1 channel', 1, 4, 5, 1, 3, 3, 1, [1, 1], [1, 1])
conv_case('2x3, stride 2, pad 1, non-square', 2, 7, 5, 2, 2, 3, 3, [2, 2], [1, 1])
conv_case('3x2, stride 3, pad 0, border left over', 1, 8, 9, 5, 3, 2, 7, [3, 3], [0, 0])
conv_case('1x1, stride 1', 2, 3, 4, 6, 1, 1, 3, [1, 1], [0, 0])
conv_case('1x1, stride 2', 1, 5, 4, 3, 1, 1, 2, [2, 2], [0, 0])
conv_case('5x5, stride 2, pad 2, 4 -> 4 channels', 1, 7, 8, 4, 5, 5, 4, [2, 2], [2, 2])
conv_case('3x5, stride [1,2], pad [1,2]', 1, 4, 7, 2, 3, 5, 3, [1, 2], [1, 2])
conv_case('5x5, stride 1, pad 2, 3 -> 32 channels', 1, 7, 6, 3, 5, 5, 32, [1, 1], [2, 2])
conv_case('kernel as large as the padded image', 1, 3, 2, 2, 5, 4, 3, [1, 1], [1, 1])


# ---- pooling --------------------------------------------------------------------------------------------------

def windows(size, k, s, p, ceil):
    """Start and end of each window, clipped to the padded image but not to the image. Caffe's rule, as torch's."""
    out = (math.ceil if ceil else math.floor)((size + 2 * p - k) / s) + 1
    if ceil and (out - 1) * s >= size + p:  # the last window must start inside the image or its left padding
        out -= 1
    return [(i * s - p, min(i * s - p + k, size + p)) for i in range(out)]


def pool_loops(x, size, stride, pad, ceil, kind):
    """Literal Caffe pooling (pooling_layer.cpp): the value, and for the maximum the first index that has it."""
    n, h, w, c = x.shape
    rows, columns = windows(h, size[0], stride[0], pad[0], ceil), windows(w, size[1], stride[1], pad[1], ceil)
    y = np.zeros((n, len(rows), len(columns), c))
    for b, i, j, k in np.ndindex(*y.shape):
        (top, bottom), (left, right) = rows[i], columns[j]
        inside = x[b, max(top, 0):min(bottom, h), max(left, 0):min(right, w), k]
        y[b, i, j, k] = inside.max() if kind == 'max' else inside.sum() / ((bottom - top) * (right - left))
    return y


def max_grad_loops(x, g, size, stride, pad, ceil):
    n, h, w, c = x.shape
    rows, columns = windows(h, size[0], stride[0], pad[0], ceil), windows(w, size[1], stride[1], pad[1], ceil)
    dx = np.zeros_like(x)
    for b, i, j, k in np.ndindex(*g.shape):
        best = None
        for r in range(max(rows[i][0], 0), min(rows[i][1], h)):
            for q in range(max(columns[j][0], 0), min(columns[j][1], w)):
                if best is None or x[b, r, q, k] > x[b, best[0], best[1], k]:
                    best = (r, q)
        dx[b, best[0], best[1], k] += g[b, i, j, k]
    return dx


def max_case(name, shape, size, stride, pad, ceil, values=distinct):
    x = values(shape)

    def check(leaves, outputs, g):
        close(outputs['y'], pool_loops(x, size, stride, pad, ceil, 'max'))
        close(leaves['x'].grad, max_grad_loops(x, g, size, stride, pad, ceil))

    case('maxPool2d', name, {'size': size, 'stride': stride, 'pad': pad, 'ceil': ceil}, {'x': x},
         lambda x: {'y': last(F.max_pool2d(planes(x), size, stride, pad, ceil_mode=ceil))}, also=check)


max_case('3x3, stride 2, ceil, even size', (2, 6, 8, 3), [3, 3], [2, 2], [0, 0], True)
max_case('3x3, stride 2, floor', (1, 6, 7, 5), [3, 3], [2, 2], [0, 0], False)
max_case('3x3, stride 2, ceil, odd size (no clipping)', (1, 7, 5, 2), [3, 3], [2, 2], [0, 0], True)
max_case('2x2, stride 2', (2, 4, 6, 3), [2, 2], [2, 2], [0, 0], False)
max_case('2x2, stride 2, ceil, odd size', (1, 5, 3, 2), [2, 2], [2, 2], [0, 0], True)
max_case('3x3, stride 2, pad 1, ceil', (1, 6, 5, 2), [3, 3], [2, 2], [1, 1], True)
max_case('3x2, stride 1, pad [1,0], overlapping', (1, 4, 5, 2), [3, 2], [1, 1], [1, 0], False)
max_case('2x2, stride 3, gaps', (1, 7, 6, 1), [2, 2], [3, 3], [0, 0], False)
max_case('ties: the first in row-major order wins', (1, 6, 6, 2), [3, 3], [2, 2], [0, 0], True,
         values=lambda shape: rng.integers(0, 2, size=shape) * 1.0)


def average_case(name, shape, size, stride, pad, ceil):
    x = draw(shape)

    # torch with count_include_pad=True divides by the window clipped to the *padded* image, as Caffe does: with
    # pad 0 and ceil, a 3x3 window that hangs over one edge by one divides by 6, in the corner by 4, never by 9.
    def check(leaves, outputs, g):
        close(outputs['y'], pool_loops(x, size, stride, pad, ceil, 'average'))

    case('avgPool2d', name, {'size': size, 'stride': stride, 'pad': pad, 'ceil': ceil}, {'x': x},
         lambda x: {'y': last(F.avg_pool2d(planes(x), size, stride, pad, ceil_mode=ceil, count_include_pad=True))},
         also=check)


average_case('3x3, stride 2, ceil: divisors 9, 6 and 4', (2, 6, 8, 3), [3, 3], [2, 2], [0, 0], True)
average_case('3x3, stride 2, floor', (1, 6, 7, 5), [3, 3], [2, 2], [0, 0], False)
average_case('2x2, stride 2, ceil, odd size', (1, 5, 3, 2), [2, 2], [2, 2], [0, 0], True)
average_case('3x3, stride 2, pad 1, ceil', (1, 6, 5, 2), [3, 3], [2, 2], [1, 1], True)
average_case('3x2, stride 1, pad [1,0], overlapping', (1, 4, 5, 2), [3, 2], [1, 1], [1, 0], False)
average_case('window larger than the image, ceil', (1, 2, 2, 3), [3, 3], [2, 2], [0, 0], True)


# ---- normalisation --------------------------------------------------------------------------------------------

def lrn(x, size, alpha, beta):
    """Caffe's within-channel LRN; the divisor is always size^2, on borders too (clr-experiments section 5)."""
    scale = 1 + alpha * F.avg_pool2d(planes(x).square(), size, 1, (size - 1) // 2, count_include_pad=True)
    return last(planes(x) * scale.pow(-beta))


def lrn_case(name, shape, size, alpha, beta, magnitude):
    x = draw(shape, -magnitude, magnitude, 2)

    def check(leaves, outputs, g):
        """The closed form of the gradient, with an explicit box sum."""
        r = (size - 1) // 2
        box = lambda v: sum(
            np.pad(v, ((0, 0), (r, r), (r, r), (0, 0)))[:, i:i + shape[1], j:j + shape[2]]
            for i in range(size) for j in range(size))
        s = 1 + alpha * box(x * x) / size**2
        close(outputs['y'], x * s**-beta)
        close(leaves['x'].grad, g * s**-beta - 2 * alpha * beta / size**2 * x * box(g * x * s**(-beta - 1)))

    case('lrn', name, {'region': 'within-channel', 'size': size, 'alpha': alpha, 'beta': beta}, {'x': x},
         lambda x: {'y': lrn(x, size, alpha, beta)}, also=check)


lrn_case("size 3, Caffe's CIFAR-10 constants, activations up to 200", (2, 5, 6, 3), 3, 5e-5, 0.75, 200)
lrn_case('size 5, strong', (1, 6, 7, 2), 5, 0.01, 0.75, 40)
lrn_case('size 3, beta 0.5', (1, 4, 3, 5), 3, 0.001, 0.5, 50)
lrn_case('size 5 on an image smaller than the window', (1, 3, 2, 2), 5, 0.01, 0.75, 20)


def channel_first(x):
    return x.movedim(-1, 1)


def batch_norm_case(name, shape, eps, spread):
    c = shape[-1]
    axes = tuple(range(len(shape) - 1))

    def compute(x, gamma, beta):
        y = channel_first(x)
        y = F.batch_norm(y, None, None, gamma, beta, training=True, eps=eps).movedim(1, -1)
        return {'y': y, 'mean': x.mean(axes), 'variance': x.var(axes, unbiased=False)}

    case('batchNorm', name, {'training': True, 'eps': eps},
         {'x': draw(shape, -spread, spread) + draw((c,), -4, 4, 4), 'gamma': draw((c,), 0.5, 2), 'beta': draw((c,), -1, 1)},
         compute)


batch_norm_case('training, images', (3, 4, 5, 3), 1e-5, 2)
batch_norm_case('training, rows', (7, 5), 1e-5, 2)
batch_norm_case('training, large eps', (2, 3, 3, 6), 0.1, 1)

case('batchNorm', 'inference', {'training': False, 'eps': 1e-3},
     {'x': draw((2, 3, 4, 3)), 'gamma': draw((3,), 0.5, 2), 'beta': draw((3,), -1, 1), 'mean': draw((3,)), 'variance': draw((3,), 0.25, 3)},
     lambda x, gamma, beta, mean, variance: {
         'y': F.batch_norm(channel_first(x), mean, variance, gamma, beta, training=False, eps=1e-3).movedim(1, -1)},
     grad_of=('x', 'gamma', 'beta'))


# ---- loss -----------------------------------------------------------------------------------------------------

def loss_case(name, reduction, logits, labels):
    case('softmaxCrossEntropy', name, {'reduction': reduction}, {'logits': logits, 'labels': labels},
         lambda logits, labels: {'y': F.cross_entropy(logits, labels, reduction=reduction)}, integers=('labels',))


for reduction in ('none', 'mean'):
    loss_case(f'small logits, {reduction}', reduction, draw((5, 7)), rng.integers(0, 7, size=5))
    loss_case(f'large logits, {reduction}', reduction, draw((4, 3), -800, 800, 1), np.array([0, 2, 1, 2]))
loss_case('equal logits: log(classes)', 'mean', np.full((3, 10), 100.0), np.array([0, 9, 5]))


# ---- matmul and dense -----------------------------------------------------------------------------------------

for ta in (False, True):
    for tb in (False, True):
        case('matmul', f'transposeA {ta}, transposeB {tb}', {'transposeA': ta, 'transposeB': tb},
             {'a': draw((5, 3) if ta else (3, 5)), 'b': draw((7, 5) if tb else (5, 7))},
             lambda a, b: {'y': (a.T if ta else a) @ (b.T if tb else b)})
case('matmul', 'row by column', {'transposeA': False, 'transposeB': False}, {'a': draw((1, 6)), 'b': draw((6, 1))},
     lambda a, b: {'y': a @ b})
case('dense', 'weight [in, out] and bias', {}, {'x': draw((3, 5)), 'w': draw((5, 4)), 'b': draw((4,))},
     lambda x, w, b: {'y': F.linear(x, w.T, b)})


# ---- elementwise and reductions -------------------------------------------------------------------------------

shape = (3, 4)
away = lambda shape: draw(shape, 0.125, 2) * rng.choice([-1, 1], size=shape)  # away from the kink at 0
for op, x, f in [
    ('tanh', draw(shape, -3, 3), torch.tanh),
    ('sigmoid', draw(shape, -6, 6), torch.sigmoid),
    ('exp', draw(shape), torch.exp),
    ('log', draw(shape, 0.125, 4), torch.log),
    ('sqrt', draw(shape, 0.125, 4), torch.sqrt),
    ('relu', away(shape), torch.relu),
    ('abs', away(shape), torch.abs),
]:
    case(op, op, {}, {'x': x}, lambda x: {'y': f(x)})
case('tanh', 'large', {}, {'x': np.array([-50.0, -20.0, 20.0, 50.0])}, lambda x: {'y': torch.tanh(x)})
case('sigmoid', 'large', {}, {'x': np.array([-80.0, -20.0, 20.0, 80.0])}, lambda x: {'y': torch.sigmoid(x)})
for exponent in (2, 3, 0.75, -0.75):
    case('pow', f'x ** {exponent}', {'exponent': exponent}, {'x': draw(shape, 0.25, 3)}, lambda x: {'y': x.pow(exponent)})
for op, f in [('add', torch.add), ('sub', torch.sub), ('mul', torch.mul), ('div', torch.div)]:
    for sa, sb in [((3, 4), (3, 4)), ((2, 3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3), ())]:
        case(op, f'{list(sa)} and {list(sb)}', {}, {'a': draw(sa), 'b': draw(sb, 0.5, 2)}, lambda a, b: {'y': f(a, b)})
for axes, keep in [([0], False), ([1], False), ([2], True), ([0, 1], False), ([0, 2], True), ([0, 1, 2], False)]:
    x = distinct((2, 3, 4))
    at = {'axes': axes, 'keepDims': keep}
    case('sum', f'axes {axes}, keepDims {keep}', at, {'x': x}, lambda x: {'y': x.sum(axes, keepdim=keep)})
    case('mean', f'axes {axes}, keepDims {keep}', at, {'x': x}, lambda x: {'y': x.mean(axes, keepdim=keep)})
    case('max', f'axes {axes}, keepDims {keep}', at, {'x': x}, lambda x: {'y': x.amax(axes, keepdim=keep)})


# ---- optimizers -----------------------------------------------------------------------------------------------
# Ten updates with given gradients and a moving rate. Where the torch and the Caffe form differ at all, they differ here.

STEPS = 10


def triangular(step, base, top, half):
    cycle = math.floor(1 + step / (2 * half))
    return base + (top - base) * max(0.0, 1 - abs(step / half - 2 * cycle + 1))


start = {'w': draw((2, 3), -1, 1), 'b': draw((3,), -1, 1)}
grads = [{name: draw(value.shape, -1, 1) for name, value in start.items()} for _ in range(STEPS)]
rates = [triangular(step, 0.01, 0.05, 3) for step in range(STEPS)]


def record(name, form, options, per_step, specs=None):
    optimizers.append({
        'name': name, 'form': form, 'options': options,
        **({'specs': specs} if specs else {}),
        'params': [{key: encode(value) for key, value in params.items()} for params in per_step],
    })


def by_torch(name, make, options):
    params = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
    optimizer = make(list(params.values()))
    seen = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group['lr'] = rates[step]
        for key, param in params.items():
            param.grad = torch.tensor(grads[step][key])
        optimizer.step()
        seen.append({key: param.detach().clone() for key, param in params.items()})
    record(name, 'pytorch', options, seen)


def by_caffe(name, update, options, specs=None):
    """Literal: g += decay * w, then `update(slots, g, rate, step) -> what to subtract`, per parameter."""
    params = {key: value.copy() for key, value in start.items()}
    slots = {key: {} for key in params}
    seen = []
    for step in range(STEPS):
        for key in params:
            spec = (specs or {}).get(key, {})
            decay = options.get('weightDecay', 0) * spec.get('decayMult', 1)
            g = grads[step][key] + decay * params[key]
            rate = rates[step] * spec.get('lrMult', 1)
            params[key] = params[key] - update(slots[key], g, rate, step)
        seen.append({key: value.copy() for key, value in params.items()})
    record(name, 'caffe', options, seen, specs)


def caffe_sgd(mu):
    def update(slots, g, rate, step):
        slots['h'] = mu * slots.get('h', 0) + rate * g
        return slots['h']
    return update


def caffe_nesterov(mu):
    def update(slots, g, rate, step):
        before = slots.get('h', 0)
        slots['h'] = mu * before + rate * g
        return (1 + mu) * slots['h'] - mu * before
    return update


def caffe_adam(beta1, beta2, eps):
    def update(slots, g, rate, step):
        slots['m'] = beta1 * slots.get('m', 0) + (1 - beta1) * g
        slots['v'] = beta2 * slots.get('v', 0) + (1 - beta2) * g * g
        correction = math.sqrt(1 - beta2 ** (step + 1)) / (1 - beta1 ** (step + 1))
        return rate * correction * slots['m'] / (np.sqrt(slots['v']) + eps)
    return update


def caffe_rmsprop(rho, eps):
    def update(slots, g, rate, step):
        slots['h'] = rho * slots.get('h', 0) + (1 - rho) * g * g
        return rate * g / (np.sqrt(slots['h']) + eps)
    return update


def caffe_adagrad(eps):
    def update(slots, g, rate, step):
        slots['h'] = slots.get('h', 0) + g * g
        return rate * g / (np.sqrt(slots['h']) + eps)
    return update


def caffe_adadelta(rho, eps):
    def update(slots, g, rate, step):
        slots['G'] = rho * slots.get('G', 0) + (1 - rho) * g * g
        u = g * np.sqrt((slots.get('U', 0) + eps) / (slots['G'] + eps))
        slots['U'] = rho * slots.get('U', 0) + (1 - rho) * u * u
        return rate * u
    return update


O = torch.optim
by_torch('sgd', lambda p: O.SGD(p, lr=1), {})
by_torch('sgd', lambda p: O.SGD(p, lr=1, momentum=0.9), {'momentum': 0.9})
by_torch('sgd', lambda p: O.SGD(p, lr=1, momentum=0.9, nesterov=True), {'momentum': 0.9, 'nesterov': True})
by_torch('sgd', lambda p: O.SGD(p, lr=1, momentum=0.9, weight_decay=0.1), {'momentum': 0.9, 'weightDecay': 0.1})
by_torch('adam', lambda p: O.Adam(p, betas=(0.9, 0.999), eps=1e-8), {'beta1': 0.9, 'beta2': 0.999, 'eps': 1e-8})
by_torch('adam', lambda p: O.Adam(p, betas=(0.8, 0.95), eps=0.01, weight_decay=0.1),
         {'beta1': 0.8, 'beta2': 0.95, 'eps': 0.01, 'weightDecay': 0.1})
by_torch('adamw', lambda p: O.AdamW(p, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.5),
         {'beta1': 0.9, 'beta2': 0.99, 'eps': 1e-8, 'weightDecay': 0.5})
by_torch('rmsprop', lambda p: O.RMSprop(p, alpha=0.99, eps=1e-8), {'rho': 0.99, 'eps': 1e-8})
by_torch('rmsprop', lambda p: O.RMSprop(p, alpha=0.9, eps=0.01, momentum=0.5),
         {'rho': 0.9, 'eps': 0.01, 'momentum': 0.5})
by_torch('adagrad', lambda p: O.Adagrad(p, eps=1e-10), {'eps': 1e-10})
by_torch('adadelta', lambda p: O.Adadelta(p, rho=0.9, eps=1e-6), {'rho': 0.9, 'eps': 1e-6})

MULTIPLIERS = {'w': {'lrMult': 1, 'decayMult': 250}, 'b': {'lrMult': 2, 'decayMult': 0}}
by_caffe('sgd', caffe_sgd(0.9), {'momentum': 0.9})
by_caffe('sgd', caffe_nesterov(0.9), {'momentum': 0.9, 'nesterov': True})
by_caffe('sgd', caffe_sgd(0.9), {'momentum': 0.9, 'weightDecay': 0.004}, MULTIPLIERS)
by_caffe('adam', caffe_adam(0.9, 0.999, 1e-8), {'beta1': 0.9, 'beta2': 0.999, 'eps': 1e-8})
by_caffe('adam', caffe_adam(0.8, 0.95, 0.01), {'beta1': 0.8, 'beta2': 0.95, 'eps': 0.01, 'weightDecay': 0.1})
by_caffe('rmsprop', caffe_rmsprop(0.99, 1e-8), {'rho': 0.99, 'eps': 1e-8, 'weightDecay': 0.1})
by_caffe('adagrad', caffe_adagrad(1e-8), {'eps': 1e-8})
by_caffe('adadelta', caffe_adadelta(0.9, 1e-8), {'rho': 0.9, 'eps': 1e-8})


# ---- a training trajectory --------------------------------------------------------------------------------------
# The layers of Caffe's cifar10_full in its order, with tiny widths, on 8x8 images.

BATCH, TRAIN_STEPS, CLASSES, WIDTHS = 4, 5, 4, (3, 4, 5, 6)
LRN = (3, 5e-5, 0.75)
MOMENTUM, DECAY = 0.9, 0.004


def gaussian(shape, std, grid=64):
    return np.round(rng.normal(0, std, size=shape) * grid) / grid


initial = {
    'conv1.weight': gaussian((5, 5, WIDTHS[0], WIDTHS[1]), 0.05), 'conv1.bias': np.zeros(WIDTHS[1]),
    'conv2.weight': gaussian((5, 5, WIDTHS[1], WIDTHS[2]), 0.06), 'conv2.bias': np.zeros(WIDTHS[2]),
    'conv3.weight': gaussian((5, 5, WIDTHS[2], WIDTHS[3]), 0.06), 'conv3.bias': np.zeros(WIDTHS[3]),
    'fc.weight': gaussian((WIDTHS[3], CLASSES), 0.2), 'fc.bias': np.zeros(CLASSES),
}
specs = {name: {'lrMult': 1, 'decayMult': 1} for name in initial}
specs['conv1.bias'] = specs['conv2.bias'] = {'lrMult': 2, 'decayMult': 1}
specs['fc.weight'] = {'lrMult': 1, 'decayMult': 250}
specs['fc.bias'] = {'lrMult': 2, 'decayMult': 0}

images = rng.integers(-128, 128, size=(BATCH * 2, 8, 8, 3)).astype(float)
labels = rng.integers(0, CLASSES, size=BATCH * 2)
batches = [[(i + step * 3) % len(images) for i in range(BATCH)] for step in range(TRAIN_STEPS)]


def pool(x, kind):
    f = F.max_pool2d if kind == 'max' else F.avg_pool2d
    return last(f(planes(x), 3, 2, ceil_mode=True))


def network(x, p):
    x = lrn(torch.relu(pool(conv(x, p['conv1.weight'], 1, 2, p['conv1.bias']), 'max')), *LRN)
    x = lrn(pool(torch.relu(conv(x, p['conv2.weight'], 1, 2, p['conv2.bias'])), 'average'), *LRN)
    x = pool(torch.relu(conv(x, p['conv3.weight'], 1, 2, p['conv3.bias'])), 'average')
    return x.flatten(1) @ p['fc.weight'] + p['fc.bias']


def trajectory():
    params = {name: value.copy() for name, value in initial.items()}
    velocity = {name: np.zeros_like(value) for name, value in initial.items()}
    lrs = [triangular(step, 0.001, 0.005, 2) for step in range(TRAIN_STEPS)]
    losses, logits, norms = [], [], []
    for step in range(TRAIN_STEPS):
        leaves = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
        out = network(torch.tensor(images[batches[step]]), leaves)
        loss = F.cross_entropy(out, torch.tensor(labels[batches[step]]))
        loss.backward()
        losses.append(short(loss.item()))
        logits.append(encode(out))
        norms.append({name: short(leaf.grad.norm().item()) for name, leaf in leaves.items()})
        for name in params:
            g = leaves[name].grad.numpy() + DECAY * specs[name]['decayMult'] * params[name]
            velocity[name] = MOMENTUM * velocity[name] + lrs[step] * specs[name]['lrMult'] * g
            params[name] = params[name] - velocity[name]
    return {
        'lrn': {'size': LRN[0], 'alpha': LRN[1], 'beta': LRN[2]},
        'momentum': MOMENTUM, 'weightDecay': DECAY, 'lr': lrs, 'specs': specs,
        'images': encode(images), 'labels': encode(labels, 'i32'), 'batches': batches,
        'initial': {name: encode(value) for name, value in initial.items()},
        'losses': losses, 'logits': logits, 'gradNorms': norms,
        'final': {name: encode(value) for name, value in params.items()},
    }


# ---- the operations of NumPy and torch ------------------------------------------------------------------------
# Draws of their own, so that what is added here changes nothing above.

reseed(6)
fraction = lambda shape: draw(shape, -3, 3) + 1 / 64  # never at a jump of rounding
flags = lambda shape: rng.integers(0, 2, size=shape) != 0
few = lambda shape: draw(shape, -1, 1, 1)  # with many ties

for op, x, f in [
    ('sign', fraction(shape), torch.sign),
    ('floor', fraction(shape), torch.floor),
    ('ceil', fraction(shape), torch.ceil),
    ('round', np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.25, -2.75, 0.0]), torch.round),
    ('expm1', draw(shape), torch.expm1),
    ('log1p', draw(shape, -0.875, 3), torch.log1p),
    ('sin', draw(shape, -9, 9), torch.sin),
    ('cos', draw(shape, -9, 9), torch.cos),
    ('erf', draw(shape, -3, 3), torch.erf),
    ('rsqrt', draw(shape, 0.125, 4), torch.rsqrt),
    ('reciprocal', away(shape), torch.reciprocal),
    ('square', draw(shape), torch.square),
]:
    case(op, op, {}, {'x': x}, lambda x: {'y': f(x)})
case('clamp', 'with elements at the bounds', {'low': -1, 'high': 0.5}, {'x': np.array([-2, -1, -0.5, 0, 0.5, 0.75])},
     lambda x: {'y': x.clamp(-1, 0.5)})
case('power', 'with zeros in base and exponent', {},
     {'a': np.array([0, 0, 0.5, 1.5, 2, 0]), 'b': np.array([0, 2, 0, -1.5, 0.25, 1.5])},
     lambda a, b: {'y': a.pow(b)})
for op, f in [('maximum', torch.maximum), ('minimum', torch.minimum)]:
    case(op, 'broadcast', {}, {'a': distinct((3, 4)), 'b': distinct((4,)) + 1 / 32}, lambda a, b: {'y': f(a, b)})
for op, f in [('equal', torch.eq), ('notEqual', torch.ne), ('less', torch.lt), ('lessEqual', torch.le),
              ('greater', torch.gt), ('greaterEqual', torch.ge)]:
    case(op, 'broadcast', {}, {'a': few((3, 1, 4)), 'b': few((5, 1))}, lambda a, b: {'y': f(a, b)})
for op, f in [('and', torch.logical_and), ('or', torch.logical_or), ('xor', torch.logical_xor)]:
    case(op, 'broadcast', {}, {'a': flags((3, 4)), 'b': flags((4,))}, lambda a, b: {'y': f(a, b)}, flags=('a', 'b'))
case('not', 'not', {}, {'x': flags((7,))}, lambda x: {'y': torch.logical_not(x)}, flags=('x',))
case('where', 'broadcast', {}, {'condition': flags((3, 1)), 'a': draw((4,)), 'b': draw((2, 1, 1))},
     lambda condition, a, b: {'y': torch.where(condition, a, b)}, flags=('condition',))
case('cast', 'f32 to i32', {'dtype': 'i32'}, {'x': fraction((9,)) * 8}, lambda x: {'y': x.to(torch.int32)})
case('cast', 'f32 to u8', {'dtype': 'u8'}, {'x': draw((9,), 0, 255)}, lambda x: {'y': x.to(torch.uint8)})

for axes, keep in [([0], False), ([1, 2], True), ([0, 1, 2], False)]:
    at = {'axes': axes, 'keepDims': keep}
    x = away((2, 3, 4))
    case('min', f'axes {axes}', at, {'x': distinct((2, 3, 4))}, lambda x: {'y': x.amin(axes, keepdim=keep)})
    case('logSumExp', f'axes {axes}', at, {'x': x * 3}, lambda x: {'y': x.logsumexp(axes, keepdim=keep)})
    case('any', f'axes {axes}', at, {'x': flags((2, 3, 4)) & flags((2, 3, 4))},
         lambda x: {'y': x.double().sum(axes, keepdim=keep) > 0}, flags=('x',))
    case('all', f'axes {axes}', at, {'x': flags((2, 3, 4)) | flags((2, 3, 4))},
         lambda x: {'y': x.double().mean(axes, keepdim=keep) == 1}, flags=('x',))
    for correction in (0, 1):
        case('variance', f'axes {axes}, correction {correction}', {**at, 'correction': correction}, {'x': x},
             lambda x: {'y': x.var(axes, unbiased=correction == 1, keepdim=keep)})
    for order in (1, 2, 3):
        case('norm', f'axes {axes}, order {order}', {**at, 'order': order}, {'x': x},
             lambda x: {'y': x.norm(order, axes, keepdim=keep)})
for axis in (0, 1, 2):
    at = {'axis': axis}
    case('softmax', f'axis {axis}', at, {'x': draw((2, 3, 4), -4, 4)}, lambda x: {'y': x.softmax(axis)})
    case('logSoftmax', f'axis {axis}', at, {'x': draw((2, 3, 4), -4, 4)}, lambda x: {'y': x.log_softmax(axis)})
    case('prod', f'axis {axis}', at, {'x': few((2, 3, 4)) * 1.5}, lambda x: {'y': x.prod(axis)})
    case('cumulativeSum', f'axis {axis}', at, {'x': draw((2, 3, 4))}, lambda x: {'y': x.cumsum(axis)})
    case('argMax', f'axis {axis}', at, {'x': distinct((2, 3, 4))}, lambda x: {'y': x.argmax(axis)})
    case('argMin', f'axis {axis}', at, {'x': distinct((2, 3, 4))}, lambda x: {'y': x.argmin(axis)})
    for descending in (False, True):
        case('sort', f'axis {axis}, descending {descending}, ties', {**at, 'descending': descending},
             {'x': few((3, 5, 4))},
             lambda x: dict(zip(('y', 'indices'), x.sort(stable=True, dim=axis, descending=descending))))
    case('topK', f'2 of axis {axis}', {**at, 'k': 2}, {'x': distinct((3, 5, 4))},
         lambda x: dict(zip(('y', 'indices'), x.topk(2, axis))))

case('slice', 'x[1:, ::2, -1]', {'ranges': [{'begin': 1}, {'step': 2}, -1]}, {'x': draw((3, 5, 2))},
     lambda x: {'y': x[1:, ::2, -1]})
case('slice', 'x[..., 1:-1]', {'ranges': [None, {'begin': 1, 'end': -1}]}, {'x': draw((2, 6))},
     lambda x: {'y': x[:, 1:-1]})
case('concat', 'three along 1', {'axis': 1}, {'a': draw((2, 1)), 'b': draw((2, 3)), 'c': draw((2, 2))},
     lambda a, b, c: {'y': torch.cat([a, b, c], 1)})
case('stack', 'three along -1', {'axis': -1}, {'a': draw((2, 3)), 'b': draw((2, 3)), 'c': draw((2, 3))},
     lambda a, b, c: {'y': torch.stack([a, b, c], -1)})
case('split', 'the second of two parts', {'sizes': [2, 3], 'axis': 1}, {'x': draw((2, 5))},
     lambda x: {'y': x.split([2, 3], 1)[1]})
case('flip', 'axes 0 and 2', {'axes': [0, 2]}, {'x': draw((2, 3, 4))}, lambda x: {'y': x.flip([0, 2])})
case('tile', '2 times 1 times 3', {'counts': [2, 1, 3]}, {'x': draw((2, 3))}, lambda x: {'y': x.tile(2, 1, 3)})
case('repeat', '3 along 0', {'count': 3, 'axis': 0}, {'x': draw((2, 3))},
     lambda x: {'y': x.repeat_interleave(3, 0)})
for mode, name in [('constant', 'constant'), ('reflect', 'reflect'), ('edge', 'replicate')]:
    case('pad', mode, {'mode': mode, 'amounts': [[0, 0], [0, 0], [2, 1], [1, 3]]}, {'x': draw((1, 2, 3, 4))},
         lambda x: {'y': F.pad(x, (1, 3, 2, 1), name)})
case('gather', 'rows of an embedding', {'axis': 0}, {'x': draw((5, 3)), 'index': np.array([[4, 0], [4, 1]])},
     lambda x, index: {'y': F.embedding(index, x)}, integers=('index',))
case('gather', 'columns', {'axis': 1}, {'x': draw((2, 5, 2)), 'index': np.array([4, 0, 4, 1])},
     lambda x, index: {'y': x.index_select(1, index)}, integers=('index',))
case('scatterAdd', 'rows', {'n': 4, 'axis': 0}, {'x': draw((5, 3)), 'index': np.array([3, 0, 3, 3, 1])},
     lambda x, index: {'y': torch.zeros(4, 3).index_add(0, index, x)}, integers=('index',))
case('takeAlong', 'axis 1', {'axis': 1}, {'x': draw((2, 4, 3)), 'index': rng.integers(0, 4, size=(2, 5, 3))},
     lambda x, index: {'y': x.gather(1, index)}, integers=('index',))
case('scatterAlong', 'axis 1', {'n': 4, 'axis': 1}, {'x': draw((2, 5, 3)), 'index': rng.integers(0, 4, size=(2, 5, 3))},
     lambda x, index: {'y': torch.zeros(2, 4, 3).scatter_add(1, index, x)}, integers=('index',))
case('oneHot', 'of 4', {'n': 4}, {'index': np.array([[3, 0], [1, 1]])},
     lambda index: {'y': F.one_hot(index, 4).double()}, integers=('index',))
for sa, sb in [((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((3, 4), (2, 4, 5))]:
    case('matmul', f'batches, {list(sa)} and {list(sb)}', {'transposeA': False, 'transposeB': False},
         {'a': draw(sa), 'b': draw(sb)}, lambda a, b: {'y': a @ b})
for equation, *shapes in [
    ('ij->ji', (2, 3)), ('ij->', (2, 3)), ('ij,jk', (2, 3), (3, 4)), ('bij,bkj->bik', (2, 3, 4), (2, 5, 4)),
    ('i,j->ij', (3,), (4,)), ('...ij,...jk->...ik', (2, 1, 3, 4), (2, 4, 2)), ('bhid,bhjd->bhij', (2, 2, 3, 4), (2, 2, 3, 4)),
    ('ij,ij->i', (3, 4), (3, 4)), ('ijk,jkl->il', (2, 3, 2), (3, 2, 4)), ('ij,jk,kl->il', (2, 3), (3, 2), (2, 4)),
]:
    case('einsum', equation, {'equation': equation}, {f'x{i}': draw(size) for i, size in enumerate(shapes)},
         lambda **x: {'y': torch.einsum(equation, *x.values())})
case('outer', 'outer', {}, {'a': draw((3,)), 'b': draw((4,))}, lambda a, b: {'y': torch.outer(a, b)})
case('dot', 'dot', {}, {'a': draw((5,)), 'b': draw((5,))}, lambda a, b: {'y': a.dot(b)})
case('atan', 'atan', {}, {'x': draw(shape, -4, 4)}, lambda x: {'y': torch.atan(x)})


# ---- output ---------------------------------------------------------------------------------------------------

document = '{\n' + ',\n'.join([
    f'"versions":{compact({"torch": torch.__version__, "numpy": np.__version__})}',
    f'"cases":{lines(cases)}',
    f'"optimization":{compact({"initial": {k: encode(v) for k, v in start.items()}, "grads": [{k: encode(v) for k, v in g.items()} for g in grads], "lr": rates})}',
    f'"optimizers":{lines(optimizers)}',
    f'"trajectory":{compact(trajectory())}',
]) + '\n}\n'
json.loads(document)
target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name('pytorch.json')
target.write_text(document)
print(f'{target}: {len(document)} bytes, {len(cases)} cases, {len(optimizers)} optimizers')
