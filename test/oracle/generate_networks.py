"""Writes networks.json: what PyTorch says of the operations of networks: convolutions of every kind, normalisation by
example, resizing, activations and losses. Form and conventions are those of common.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common import case, cases, close, compact, distinct, draw, last, lines, planes, rng


# ---- convolution ----------------------------------------------------------------------------------------------

def conv_case(name, n, h, w, c, kh, kw, o, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    geometry = {'stride': list(stride), 'pad': list(pad), 'dilation': list(dilation), 'groups': groups}
    case('conv2d', name, geometry,
         {'x': draw((n, h, w, c), -2, 2, 8), 'w': draw((kh, kw, c // groups, o), -1, 1, 8)},
         lambda x, w: {'y': last(F.conv2d(planes(x), w.permute(3, 2, 0, 1), None, stride, pad, dilation, groups))})


conv_case('dilation 2', 2, 7, 8, 3, 3, 3, 4, dilation=(2, 2))
conv_case('dilation [1,3], stride 2, pad [1,2]', 1, 6, 9, 2, 2, 3, 3, (2, 2), (1, 2), (1, 3))
conv_case('2 groups', 2, 5, 4, 4, 3, 3, 6, pad=(1, 1), groups=2)
conv_case('3 groups, stride [2,1], dilation 2', 1, 8, 7, 6, 2, 3, 9, (2, 1), (1, 1), (2, 2), 3)
conv_case('depthwise', 2, 6, 5, 5, 3, 3, 5, pad=(1, 1), groups=5)
conv_case('depthwise, stride 2, two filters a channel', 1, 7, 6, 3, 3, 3, 6, (2, 2), (1, 1), groups=3)
conv_case('depthwise, dilation 2, 18 channels', 1, 6, 7, 18, 3, 2, 18, dilation=(2, 2), groups=18)


def transpose_case(name, n, h, w, c, kh, kw, o, stride=(1, 1), pad=(0, 0), extra=(0, 0), dilation=(1, 1), groups=1):
    geometry = {'stride': list(stride), 'pad': list(pad), 'outputPadding': list(extra),
                'dilation': list(dilation), 'groups': groups}
    # torch's filters are [in, out / groups, KH, KW], ours [KH, KW, out / groups, in].
    case('conv2dTranspose', name, geometry,
         {'x': draw((n, h, w, c), -2, 2, 8), 'w': draw((kh, kw, o // groups, c), -1, 1, 8)},
         lambda x, w: {'y': last(F.conv_transpose2d(planes(x), w.permute(3, 2, 0, 1), None, stride, pad, extra, groups,
                                                    dilation))})


transpose_case('stride 2', 2, 3, 4, 3, 3, 3, 5, (2, 2))
transpose_case('stride 2, pad 1, one more', 1, 4, 3, 2, 3, 3, 4, (2, 2), (1, 1), (1, 1))
transpose_case('stride [3,1], dilation [1,2]', 1, 3, 4, 2, 2, 3, 3, (3, 1), (0, 1), (2, 0), (1, 2))
transpose_case('2 groups', 1, 3, 3, 6, 3, 3, 4, (2, 2), (1, 1), groups=2)
transpose_case('4x4, stride 2, pad 1', 2, 3, 2, 4, 4, 4, 2, (2, 2), (1, 1))


# ---- pooling and resizing -------------------------------------------------------------------------------------

case('globalAvgPool2d', '3x4', {}, {'x': draw((2, 3, 4, 5))},
     lambda x: {'y': F.adaptive_avg_pool2d(planes(x), 1).flatten(1)})
case('globalMaxPool2d', '3x4', {}, {'x': distinct((2, 3, 4, 5))},
     lambda x: {'y': F.adaptive_max_pool2d(planes(x), 1).flatten(1)})
for shape, size in [((2, 3, 4, 3), [6, 8]), ((1, 5, 4, 2), [7, 3]), ((1, 1, 3, 2), [4, 4]), ((1, 4, 4, 1), [9, 5])]:
    for mode, corners in [('nearest', None), ('bilinear', False), ('bilinear', True)]:
        case('resize2d', f'{list(shape)} to {size}, {mode}, corners {corners}',
             {'size': size, 'mode': mode, 'alignCorners': bool(corners)}, {'x': draw(shape)},
             lambda x: {'y': last(F.interpolate(planes(x), tuple(size), mode=mode, align_corners=corners))})


# ---- normalisation --------------------------------------------------------------------------------------------

for shape, over in [((4, 7), [7]), ((2, 3, 5), [5]), ((2, 3, 4, 2), [4, 2])]:
    case('layerNorm', f'{list(shape)} over {over}', {'axes': len(over), 'eps': 1e-3},
         {'x': draw(shape), 'gamma': draw(over, 0.5, 2), 'beta': draw(over)},
         lambda x, gamma, beta: {'y': F.layer_norm(x, over, gamma, beta, 1e-3)})
for shape, groups in [((2, 3, 4, 6), 2), ((1, 3, 3, 4), 4), ((3, 6), 3), ((2, 5, 8), 1)]:
    last_first = lambda x: x.movedim(-1, 1)
    case('groupNorm', f'{list(shape)} in {groups}', {'groups': groups, 'eps': 1e-3},
         {'x': draw(shape), 'gamma': draw(shape[-1:], 0.5, 2), 'beta': draw(shape[-1:])},
         lambda x, gamma, beta: {'y': F.group_norm(last_first(x), groups, gamma, beta, 1e-3).movedim(1, -1)})
for shape in [(2, 3, 4, 3), (1, 5, 2, 4)]:
    # By groups of one channel: torch 1.13's instance_norm gives a wrong gradient for a permuted gradient of one image.
    case('instanceNorm', f'{list(shape)}', {'eps': 1e-3},
         {'x': draw(shape), 'gamma': draw(shape[-1:], 0.5, 2), 'beta': draw(shape[-1:])},
         lambda x, gamma, beta: {'y': last(F.group_norm(planes(x), shape[-1], gamma, beta, 1e-3))},
         also=lambda at, outputs, _: close(outputs['y'], last(F.instance_norm(
             planes(at['x']), weight=at['gamma'], bias=at['beta'], eps=1e-3)).detach()))
for size, alpha, beta, channels in [(5, 1.0, 0.75, 7), (3, 0.5, 0.5, 4), (4, 2.0, 0.75, 6), (9, 1.0, 1.0, 3)]:
    case('lrnAcross', f'size {size}, {channels} channels', {'size': size, 'alpha': alpha, 'beta': beta},
         {'x': draw((2, 3, 2, channels))},
         lambda x: {'y': last(F.local_response_norm(planes(x), size, alpha, beta, 1.0))})


# ---- activations ----------------------------------------------------------------------------------------------

points = np.concatenate([draw((2, 8), -6, 6), np.array([[-30, -12, -1e-3, -1 / 1024, 1 / 1024, 1 / 8, 12, 30]])])
points[points == 0] = 0.0625  # kinks have tests of their own
points[abs(points) == 3] += 0.0625
points[abs(points) == 1] += 0.0625
for op, attrs, f in [
    ('gelu', {}, F.gelu),
    ('gelu', {'approximate': 'tanh'}, lambda x: F.gelu(x, approximate='tanh')),
    ('silu', {}, F.silu),
    ('softplus', {}, lambda x: torch.logaddexp(x, torch.zeros(()))),  # F.softplus is linear from 20 on
    ('leakyRelu', {'slope': 0.01}, F.leaky_relu),
    ('leakyRelu', {'slope': 0.25}, lambda x: F.leaky_relu(x, 0.25)),
    ('elu', {'alpha': 1}, F.elu),
    ('elu', {'alpha': 0.5}, lambda x: F.elu(x, 0.5)),
    ('celu', {'alpha': 2}, lambda x: F.celu(x, 2)),
    ('hardSigmoid', {}, lambda x: (x / 6 + 0.5).clamp(0, 1)),  # F.hardsigmoid's gradient is a float32 sixth
    ('hardSwish', {}, F.hardswish),
    ('hardTanh', {}, F.hardtanh),
]:
    case(op, f'{op} {attrs}', attrs, {'x': points}, lambda x: {'y': f(x)})
for op, attrs, at, f in [
    ('softplus', {}, [0.0], lambda x: F.softplus(x)),
    ('elu', {'alpha': 1}, [0.0], F.elu),
    ('leakyRelu', {'slope': 0.25}, [0.0], lambda x: F.leaky_relu(x, 0.25)),
    ('silu', {}, [0.0], F.silu),
    ('gelu', {}, [0.0], F.gelu),
]:
    case(op, 'at 0', attrs, {'x': np.array(at)}, lambda x: {'y': f(x)})


# ---- losses: one number for each row --------------------------------------------------------------------------

rows = lambda x: x.flatten(1).mean(1)
case('meanSquaredError', '[4,3]', {}, {'x': draw((4, 3)), 'target': draw((4, 3))},
     lambda x, target: {'y': rows(F.mse_loss(x, target, reduction='none'))})
case('meanSquaredError', '[2,3,2]', {}, {'x': draw((2, 3, 2)), 'target': draw((2, 3, 2))},
     lambda x, target: {'y': rows(F.mse_loss(x, target, reduction='none'))})
logits = np.concatenate([draw((2, 5), -4, 4), np.array([[-60, -20, 0.0, 20, 60]])])
case('binaryCrossEntropy', 'labels between 0 and 1', {}, {'x': logits, 'target': draw((3, 5), 0, 1)},
     lambda x, target: {'y': rows(F.binary_cross_entropy_with_logits(x, target, reduction='none'))},
     grad_of=['x'])
case('huber', 'delta 1', {'delta': 1}, {'x': draw((4, 5)), 'target': draw((4, 5)) + 1 / 64},
     lambda x, target: {'y': rows(F.huber_loss(x, target, reduction='none', delta=1))})
case('huber', 'delta 0.5', {'delta': 0.5}, {'x': draw((4, 5)), 'target': draw((4, 5)) + 1 / 64},
     lambda x, target: {'y': rows(F.huber_loss(x, target, reduction='none', delta=0.5))})
for smoothing in (0, 0.1, 0.5, 1):
    case('smoothedCrossEntropy', f'smoothing {smoothing}', {'smoothing': smoothing},
         {'x': np.concatenate([draw((3, 6), -4, 4), np.array([[90.0, -90, 0, 1, 2, 3]])]),
          'labels': rng.integers(0, 6, size=4)},
         lambda x, labels: {'y': F.cross_entropy(x, labels, reduction='none', label_smoothing=smoothing)},
         integers=('labels',))
p = draw((3, 4), 0, 1) + 1 / 8
p = np.concatenate([p / p.sum(1, keepdims=True), [[0, 0.25, 0.75, 0]]])
case('klDivergence', 'with zeros in the target', {}, {'x': draw((4, 4), -3, 3), 'target': p},
     lambda x, target: {'y': F.kl_div(F.log_softmax(x, 1), target, reduction='none').sum(1)}, grad_of=['x'])


def dice(x, target):  # 1 - (2 |A B| + 1) / (|A| + |B| + 1), as in V-Net with the sums instead of the squares
    chance, target = torch.sigmoid(x).flatten(1), target.flatten(1)
    return 1 - (2 * (chance * target).sum(1) + 1) / (chance.sum(1) + target.sum(1) + 1)


case('dice', 'masks', {}, {'x': draw((2, 3, 4, 1), -4, 4), 'target': rng.integers(0, 2, size=(2, 3, 4, 1)) * 1.0},
     lambda x, target: {'y': dice(x, target)}, grad_of=['x'])


def focal(x, target, alpha, gamma):  # torchvision.ops.sigmoid_focal_loss
    chance = torch.sigmoid(x)
    hit = chance * target + (1 - chance) * (1 - target)
    loss = F.binary_cross_entropy_with_logits(x, target, reduction='none') * (1 - hit) ** gamma
    return rows((alpha * target + (1 - alpha) * (1 - target)) * loss)


for alpha, gamma in [(0.25, 2), (0.5, 1.5)]:
    case('focal', f'alpha {alpha}, gamma {gamma}', {'alpha': alpha, 'gamma': gamma},
         {'x': draw((3, 5), -4, 4), 'target': rng.integers(0, 2, size=(3, 5)) * 1.0},
         lambda x, target: {'y': focal(x, target, alpha, gamma)}, grad_of=['x'])


# ---- embedding ------------------------------------------------------------------------------------------------

case('embedding', 'an index twice', {}, {'w': draw((5, 3)), 'index': np.array([[0, 4, 4], [2, 0, 3]])},
     lambda w, index: {'y': F.embedding(index, w)}, integers=('index',))


# ---- output ---------------------------------------------------------------------------------------------------

document = '{\n' + ',\n'.join([
    f'"versions":{compact({"torch": torch.__version__, "numpy": np.__version__})}',
    f'"cases":{lines(cases)}',
]) + '\n}\n'
json.loads(document)
target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name('networks.json')
target.write_text(document)
print(f'{target}: {len(document)} bytes, {len(cases)} cases')
