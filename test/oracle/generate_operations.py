"""Writes operations.json: what PyTorch says of further elementwise functions, reductions and layouts, of layers and of losses.
Form and conventions are those of common.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from common import case, cases, compact, distinct, draw, last, lines, planes, rng


# ---- elementwise ----------------------------------------------------------------------------------------------

shape = (3, 4)
inside = lambda shape: draw(shape, -0.875, 0.875)
away = lambda shape: draw(shape, 0.125, 2) * rng.choice([-1, 1], size=shape)  # away from 0
for op, x, f in [
    ('trunc', draw(shape, -3, 3) + 1 / 64, torch.trunc),
    ('exp2', draw(shape, -9, 9), torch.exp2),
    ('log2', draw(shape, 0.125, 9), torch.log2),
    ('log10', draw(shape, 0.125, 9), torch.log10),
    ('tan', draw(shape, -9, 9), torch.tan),
    ('asin', inside(shape), torch.asin),
    ('acos', inside(shape), torch.acos),
    ('sinh', draw(shape, -4, 4), torch.sinh),
    ('cosh', draw(shape, -4, 4), torch.cosh),
    ('asinh', draw(shape, -9, 9), torch.asinh),
    ('acosh', draw(shape, 1.125, 9), torch.acosh),
    ('atanh', inside(shape), torch.atanh),
]:
    case(op, op, {}, {'x': x}, lambda x: {'y': f(x)})
case('atan2', 'all quadrants', {}, {'a': away((3, 1)), 'b': away((5,))}, lambda a, b: {'y': torch.atan2(a, b)})
case('atan2', 'on the axes', {}, {'a': np.array([0.0, 0, 1, -1, 0]), 'b': np.array([1.0, -1, 0, 0, 3])},
     lambda a, b: {'y': torch.atan2(a, b)})
case('remainder', 'all signs', {}, {'a': draw((4, 1), -5, 5) + 1 / 64, 'b': away((5,))},
     lambda a, b: {'y': torch.remainder(a, b)})


# ---- reductions and layouts -----------------------------------------------------------------------------------

for axes, keep in [([0], False), ([1, 2], True), ([0, 1, 2], False)]:
    for correction in (0, 1):
        case('std', f'axes {axes}, correction {correction}', {'axes': axes, 'keepDims': keep, 'correction': correction},
             {'x': draw((2, 3, 4))}, lambda x: {'y': x.std(axes, unbiased=correction == 1, keepdim=keep)})
for interpolation in ('linear', 'lower', 'higher', 'nearest', 'midpoint'):
    case('quantile', f'several, {interpolation}',
         {'q': [0, 0.25, 0.4, 0.9, 1], 'axis': 1, 'keepDims': True, 'interpolation': interpolation},
         {'x': distinct((3, 6))},
         lambda x: {'y': x.quantile(torch.tensor([0, 0.25, 0.4, 0.9, 1]), 1, True, interpolation=interpolation)})
case('median', 'the lower of two', {'axis': 0, 'interpolation': 'lower'}, {'x': distinct((4, 5))},
     lambda x: {'y': x.median(0).values})
for axis in (0, 1, 2):
    case('cumulativeProduct', f'axis {axis}', {'axis': axis}, {'x': draw((2, 3, 4), -1, 1, 2)},
         lambda x: {'y': x.cumprod(axis)})
case('roll', 'two axes', {'shifts': [1, -2], 'axes': [0, 1]}, {'x': draw((3, 5))}, lambda x: {'y': x.roll((1, -2), (0, 1))})
for offset in (0, 1, -2):
    case('diag', f'of a vector, offset {offset}', {'offset': offset}, {'x': draw((3,))}, lambda x: {'y': x.diag(offset)})
    case('diag', f'of a matrix, offset {offset}', {'offset': offset}, {'x': draw((3, 5))}, lambda x: {'y': x.diag(offset)})
    case('triu', f'offset {offset}', {'offset': offset}, {'x': draw((2, 4, 3))}, lambda x: {'y': x.triu(offset)})
    case('tril', f'offset {offset}', {'offset': offset}, {'x': draw((2, 3, 5))}, lambda x: {'y': x.tril(offset)})


# ---- losses ---------------------------------------------------------------------------------------------------

WEIGHT = [0.5, 2, 1, 3]
channel = lambda x: x.movedim(-1, 1)  # classes first, as torch has them
for rows in ([7], [2, 3, 2]):
    labels = rng.integers(0, 4, size=rows)
    for reduction in ('mean', 'none') if len(rows) == 1 else ('mean',):
        for options in ({}, {'weight': WEIGHT}, {'ignoreIndex': 2}, {'labelSmoothing': 0.25},
                        {'weight': WEIGHT, 'ignoreIndex': 0, 'labelSmoothing': 0.25}):
            case('crossEntropy', f'labels {rows}, {reduction}, {options}', {'reduction': reduction, **options},
                 {'x': draw((*rows, 4), -4, 4), 'target': labels},
                 lambda x, target: {'y': F.cross_entropy(
                     channel(x), target, torch.tensor(options['weight']) * 1.0 if 'weight' in options else None,
                     ignore_index=options.get('ignoreIndex', -100), reduction=reduction,
                     label_smoothing=options.get('labelSmoothing', 0.0))},
                 integers=('target',))
        for options in ({}, {'weight': WEIGHT, 'labelSmoothing': 0.25}):
            p = draw((*rows, 4), 1, 8, 1)
            case('crossEntropy', f'probabilities {rows}, {reduction}, {options}', {'reduction': reduction, **options},
                 {'x': draw((*rows, 4), -4, 4), 'target': p / 16},
                 lambda x, target: {'y': F.cross_entropy(
                     channel(x), channel(target), torch.tensor(options['weight']) * 1.0 if 'weight' in options else None,
                     reduction=reduction, label_smoothing=options.get('labelSmoothing', 0.0))})
case('weightedBinaryCrossEntropy', 'a weight for each class', {'posWeight': [0.5, 1, 4]},
     {'x': draw((4, 3), -4, 4), 'target': draw((4, 3), 0, 1)},
     lambda x, target: {'y': F.binary_cross_entropy_with_logits(x, target, pos_weight=torch.tensor([0.5, 1, 4]))},
     grad_of=['x'])
case('meanAbsoluteError', '[4,5]', {}, {'x': draw((4, 5)), 'target': draw((4, 5)) + 1 / 64},
     lambda x, target: {'y': F.l1_loss(x, target)})
for beta in (1, 0.5):
    case('smoothL1', f'beta {beta}', {'beta': beta}, {'x': draw((4, 5)), 'target': draw((4, 5)) + 1 / 64},
         lambda x, target: {'y': F.smooth_l1_loss(x, target, beta=beta)})
case('cosineSimilarity', 'axis 1', {'axis': 1}, {'a': draw((3, 4, 2)), 'b': draw((3, 4, 2))},
     lambda a, b: {'y': F.cosine_similarity(a, b, dim=1)})
case('cosineEmbedding', 'margin 0.25', {'margin': 0.25},
     {'a': draw((6, 5)), 'b': draw((6, 5)), 'labels': np.array([1, -1, 1, -1, -1, 1])},
     lambda a, b, labels: {'y': F.cosine_embedding_loss(a, b, labels, 0.25, reduction='none')}, integers=('labels',))
for options in ({'margin': 1}, {'margin': 3, 'swap': True}, {'margin': 9, 'order': 1}):
    case('tripletMargin', f'{options}', options, {'a': draw((6, 4)), 'p': draw((6, 4)), 'n': draw((6, 4))},
         lambda a, p, n: {'y': F.triplet_margin_loss(a, p, n, options['margin'], options.get('order', 2),
                                                     swap=options.get('swap', False), reduction='none')})


# ---- layers ---------------------------------------------------------------------------------------------------

for op, f in [('selu', F.selu), ('mish', F.mish)]:
    case(op, op, {}, {'x': draw((3, 8), -6, 6) + 1 / 64}, lambda x: {'y': f(x)})
case('prelu', 'a slope for each channel', {}, {'x': away((2, 3, 4)), 'slope': draw((4,), -1, 1)},
     lambda x, slope: {'y': F.prelu(x.movedim(-1, 1), slope).movedim(1, -1)})
case('pixelShuffle', 'by 2', {'factor': 2}, {'x': draw((2, 2, 3, 12))}, lambda x: {'y': last(F.pixel_shuffle(planes(x), 2))})
case('pixelUnshuffle', 'by 3', {'factor': 3}, {'x': draw((1, 6, 3, 2))},
     lambda x: {'y': last(F.pixel_unshuffle(planes(x), 3))})
for shape, size in [((2, 6, 4, 3), [3, 2]), ((1, 5, 7, 2), [3, 4]), ((1, 3, 2, 2), [5, 3])]:
    case('adaptiveAvgPool2d', f'{list(shape)} to {size}', {'size': size}, {'x': draw(shape)},
         lambda x: {'y': last(F.adaptive_avg_pool2d(planes(x), size))})
    case('adaptiveMaxPool2d', f'{list(shape)} to {size}', {'size': size}, {'x': distinct(shape)},
         lambda x: {'y': last(F.adaptive_max_pool2d(planes(x), size))})
for stride, pad, dilation, groups in [(1, 0, 1, 1), (2, 1, 1, 1), (1, 2, 2, 2)]:
    # torch's filters are [O, C / groups, K], ours [K, C / groups, O].
    case('conv1d', f'stride {stride}, pad {pad}, dilation {dilation}, {groups} groups',
         {'stride': stride, 'padding': pad, 'dilation': dilation, 'groups': groups},
         {'x': draw((2, 7, 4)), 'w': draw((3, 4 // groups, 6), -1, 1)},
         lambda x, w: {'y': F.conv1d(x.movedim(-1, 1), w.permute(2, 1, 0), None, stride, pad, dilation, groups).movedim(1, -1)})
for size, stride, pad, ceil in [(2, 2, 0, False), (3, 2, 1, True)]:
    attrs = {'size': size, 'stride': stride, 'padding': pad, 'ceil': ceil}
    case('maxPool1d', f'{attrs}', attrs, {'x': distinct((2, 8, 3))},
         lambda x: {'y': F.max_pool1d(x.movedim(-1, 1), size, stride, pad, ceil_mode=ceil).movedim(1, -1)})
    case('avgPool1d', f'{attrs}', attrs, {'x': draw((2, 8, 3))},
         lambda x: {'y': F.avg_pool1d(x.movedim(-1, 1), size, stride, pad, ceil_mode=ceil).movedim(1, -1)})
for shape, size in [((2, 3, 4, 2), [6, 7]), ((1, 8, 7, 2), [3, 4]), ((1, 5, 6, 1), [9, 2]), ((1, 1, 3, 1), [2, 5])]:
    for mode, corners, antialias in [('bicubic', False, False), ('bicubic', True, False), ('bilinear', False, True),
                                     ('bicubic', False, True), ('bicubic', True, True)]:
        case('resize', f'{list(shape)} to {size}, {mode}, corners {corners}, antialias {antialias}',
             {'size': size, 'mode': mode, 'alignCorners': corners, 'antialias': antialias}, {'x': draw(shape)},
             lambda x: {'y': last(F.interpolate(planes(x).contiguous(), tuple(size), mode=mode, align_corners=corners,
                                                antialias=antialias))})


# ---- output ---------------------------------------------------------------------------------------------------

document = '{\n' + ',\n'.join([
    f'"versions":{compact({"torch": torch.__version__, "numpy": np.__version__})}',
    f'"cases":{lines(cases)}',
]) + '\n}\n'
json.loads(document)
target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name('operations.json')
target.write_text(document)
print(f'{target}: {len(document)} bytes, {len(cases)} cases')
