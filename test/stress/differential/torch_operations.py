"""cyclegrad's operations by PyTorch's.

In double precision, functions whose PyTorch formula loses digits are computed by a formula that does not. In single
precision PyTorch's own function is used where it has one.
"""

import math

import torch
import torch.nn.functional as F


def is_double(x):
    return x.dtype == torch.float64


class Formulas:
    """Whether single precision has the accurate formulas, too."""

    accurate = False


ACCURATE = set()


def either(name, accurate, native):
    """A function of one tensor by name: `accurate` in double precision, PyTorch's own in single precision."""
    ACCURATE.add(name)
    use = lambda x: is_double(x) or Formulas.accurate
    return {name: lambda t, a: accurate(t[0], a) if use(t[0]) else native(t[0], a)}


# ---- elementwise ----------------------------------------------------------------------------------------------

def with_slope(value, slope):
    """A function whose derivative is `slope`, which is a function of a tensor with a derivative of its own."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return value(x)

        @staticmethod
        def backward(ctx, g):
            return g * slope(ctx.saved_tensors[0])

    return Function.apply


def logistic(x):
    return 1 / (1 + torch.exp(-x.clamp(min=-700)))


def logistic_slope(x):
    e = torch.exp(-x.abs())
    return e / (1 + e).square()


expm1 = with_slope(torch.expm1, torch.exp)
sigmoid_slope = with_slope(logistic_slope, lambda x: -logistic_slope(x) * torch.tanh(x / 2))
sigmoid = with_slope(logistic, sigmoid_slope)
tanh_slope = with_slope(lambda x: 4 * logistic_slope(2 * x), lambda x: -8 * logistic_slope(2 * x) * torch.tanh(x))
tanh = with_slope(torch.tanh, tanh_slope)
softplus = with_slope(lambda x: x.clamp(min=0) + torch.log1p(torch.exp(-x.abs())), sigmoid)


def without_overflow(function, far):
    """PyTorch's sinh and cosh overflow where the exponential function does, before their own values do."""
    return lambda x: torch.where(x.abs() > 500, far(x) * torch.exp(x.abs() - math.log(2)), function(x))


sinh = with_slope(without_overflow(torch.sinh, torch.sign), lambda x: cosh(x))
cosh = with_slope(without_overflow(torch.cosh, torch.ones_like), lambda x: sinh(x))


def gaussian_gate(x):
    return torch.special.erfc(-x * math.sqrt(0.5)) * 0.5


def gelu(x, a):
    if a['approximate'] is None:
        return x * gaussian_gate(x)
    inner = math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)
    return x * sigmoid(inner.clamp(-1e4, 1e4))


def gelu_native(x, a):
    return F.gelu(x, approximate='tanh' if a['approximate'] else 'none')


def larger(t, a):
    x, y = torch.broadcast_tensors(*t)
    return torch.where((x < y) | (y != y), y, x)


def smaller(t, a):
    x, y = torch.broadcast_tensors(*t)
    return torch.where((y < x) | (y != y), y, x)


def elu(x, a):
    below = torch.where(x > 0, torch.zeros_like(x), x)
    return torch.where(x > 0, x, expm1(below) * a['alpha'])


def celu(x, a):
    below = torch.where(x > 0, torch.zeros_like(x), x)
    return torch.where(x > 0, x, expm1(below / a['alpha']) * a['alpha'])


def selu(x, a):
    return 1.0507009873554804934193349852946 * elu(x, {'alpha': 1.6732632423543772848170429916717})


LIMITS = {'i32': (-(2**31), 2**31 - 1, torch.int32), 'u8': (0, 255, torch.uint8)}


def cast(t, a):
    x = t[0]
    if a['dtype'] == 'f32':
        return x if x.is_floating_point() else x.double()
    low, high, dtype = LIMITS[a['dtype']]
    x = torch.nan_to_num(x.double(), nan=0.0, posinf=1e300, neginf=-1e300) if x.is_floating_point() else x.to(torch.int64)
    return x.trunc().clamp(low, high).to(dtype) if x.is_floating_point() else x.clamp(low, high).to(dtype)


def flags(function):
    return lambda t, a: function(*t).to(torch.uint8)


def logic(function):
    return lambda t, a: function(*[x.ne(0) for x in t]).to(torch.uint8)


ELEMENTWISE = {
    'neg': lambda t, a: -t[0],
    'abs': lambda t, a: t[0].abs(),
    'sign': lambda t, a: torch.where(t[0].isnan(), t[0], t[0].sign()),  # PyTorch: 0 for NaN
    'floor': lambda t, a: t[0].floor(),
    'ceil': lambda t, a: t[0].ceil(),
    'round': lambda t, a: t[0].round(),
    'trunc': lambda t, a: t[0].trunc(),
    'exp': lambda t, a: t[0].exp(),
    'exp2': lambda t, a: t[0].exp2(),
    **either('expm1', lambda x, a: expm1(x), lambda x, a: x.expm1()),
    'log': lambda t, a: t[0].log(),
    'log2': lambda t, a: t[0].log2(),
    'log10': lambda t, a: t[0].log10(),
    'log1p': lambda t, a: t[0].log1p(),
    'sqrt': lambda t, a: t[0].sqrt(),
    'rsqrt': lambda t, a: t[0].rsqrt(),
    'reciprocal': lambda t, a: t[0].reciprocal(),
    'square': lambda t, a: t[0].square() if t[0].is_floating_point() else t[0] * t[0],
    'sin': lambda t, a: t[0].sin(),
    'cos': lambda t, a: t[0].cos(),
    **{name: lambda t, a, f=getattr(torch, name): f(t[0])
       for name in ('tan', 'asin', 'acos', 'asinh', 'acosh', 'atanh')},
    **either('sinh', lambda x, a: sinh(x), lambda x, a: x.sinh()),
    **either('cosh', lambda x, a: cosh(x), lambda x, a: x.cosh()),
    'atan': lambda t, a: t[0].atan(),
    'atan2': lambda t, a: torch.atan2(*t),
    'remainder': lambda t, a: torch.remainder(*t),
    **either('tanh', lambda x, a: tanh(x), lambda x, a: x.tanh()),
    **either('sigmoid', lambda x, a: sigmoid(x), lambda x, a: x.sigmoid()),
    'erf': lambda t, a: t[0].erf(),
    'erfc': lambda t, a: t[0].erfc(),
    'relu': lambda t, a: t[0].relu(),
    **either('silu', lambda x, a: x * sigmoid(x), lambda x, a: F.silu(x)),
    **either('softplus', lambda x, a: softplus(x), lambda x, a: F.softplus(x)),
    **either('gelu', gelu, gelu_native),
    'leakyRelu': lambda t, a: F.leaky_relu(t[0], a['slope']),
    **either('elu', elu, lambda x, a: F.elu(x, a['alpha'])),
    **either('celu', celu, lambda x, a: F.celu(x, a['alpha'])),
    **either('selu', selu, lambda x, a: F.selu(x)),
    **either('mish', lambda x, a: x * tanh(softplus(x)), lambda x, a: F.mish(x)),
    'prelu': lambda t, a: F.prelu(t[0].movedim(-1, 1), t[1].reshape(-1)).movedim(1, -1),
    # PyTorch multiplies by 1/6 in single precision, and has no second derivatives.
    'hardSigmoid': lambda t, a: (F.hardtanh(t[0], -3.0, 3.0) + 3) / 6,
    'hardSwish': lambda t, a: t[0] * ((F.hardtanh(t[0], -3.0, 3.0) + 3) / 6),
    'hardTanh': lambda t, a: F.hardtanh(t[0]),
    'stopGradient': lambda t, a: t[0].detach(),
    'checkFinite': lambda t, a: t[0],
    'add': lambda t, a: t[0] + t[1],
    'sub': lambda t, a: t[0] - t[1],
    'mul': lambda t, a: t[0] * t[1],
    'div': lambda t, a: t[0] / t[1],
    'pow': lambda t, a: torch.pow(t[0], t[1]),
    'maximum': larger,
    'minimum': smaller,
    'equal': flags(torch.eq),
    'notEqual': flags(torch.ne),
    'less': flags(torch.lt),
    'lessEqual': flags(torch.le),
    'greater': flags(torch.gt),
    'greaterEqual': flags(torch.ge),
    'and': logic(torch.logical_and),
    'or': logic(torch.logical_or),
    'xor': logic(torch.logical_xor),
    'not': logic(torch.logical_not),
    'isNaN': flags(torch.isnan),
    'isFinite': flags(torch.isfinite),
    'isInfinite': flags(torch.isinf),
    'where': lambda t, a: torch.where(t[0].ne(0), t[1], t[2]),
    'clamp': lambda t, a: t[0] if a['low'] is None and a['high'] is None else t[0].clamp(a['low'], a['high']),
    'cast': cast,
}


# ---- layout ---------------------------------------------------------------------------------------------------

def python_slice(x, ranges):
    """Negative steps by an index, because tensors have no such views."""
    out = 0
    for r in ranges:
        n = x.shape[out]
        if isinstance(r, int):
            x = x.select(out, r)
            continue
        if r is not None:
            index = list(range(n))[slice(r.get('begin'), r.get('end'), r.get('step', 1))]
            x = x.index_select(out, torch.tensor(index, dtype=torch.int64))
        out += 1
    return x


def squeeze(t, a):
    x = t[0]
    axes = [i for i, n in enumerate(x.shape) if n == 1] if a['axes'] is None else a['axes']
    return x.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def pad(t, a):
    x = t[0]
    for axis, (before, after) in enumerate(a['amounts']):
        n = x.shape[axis]
        if a['mode'] == 'constant':
            edge = lambda count: x.new_full([*x.shape[:axis], count, *x.shape[axis + 1:]], a['value'])
            x = torch.cat([edge(before), x, edge(after)], axis)
            continue
        at = range(-before, n + after)
        if a['mode'] == 'edge':
            index = [min(max(i, 0), n - 1) for i in at]
        else:
            index = [-i if i < 0 else 2 * (n - 1) - i if i >= n else i for i in at]
        x = x.index_select(axis, torch.tensor(index, dtype=torch.int64))
    return x


def gather(t, a):
    x, index = t
    axis = a['axis'] % x.dim()
    y = x.index_select(axis, index.reshape(-1).long())
    return y.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1:]])


def scatter_add(t, a):
    values, index = t
    axis, rank = a['axis'], a['indexRank']
    lead, tail = values.shape[:axis], values.shape[axis + rank:]
    rows = values.reshape([*lead, -1, *tail]) if index.numel() else values.reshape([*lead, 0, *tail])
    return values.new_zeros([*lead, a['n'], *tail]).index_add(axis, index.reshape(-1).long(), rows)


def scatter_along(t, a):
    values, index = t
    shape = list(values.shape)
    shape[a['axis']] = a['n']
    return values.new_zeros(shape).scatter_add(a['axis'], index.long(), values)


def sort(t, a):
    values, indices = torch.sort(t[0], dim=a['axis'], descending=a['descending'], stable=True)
    return [values, indices.int()]


def top(t, a):
    values, indices = torch.sort(t[0], dim=a['axis'], descending=True, stable=True)
    return [values.narrow(a['axis'], 0, a['k']), indices.int().narrow(a['axis'], 0, a['k'])]


def one_hot(t, a):
    return F.one_hot(t[0].long(), a['n']).float()


def normalize_images(t, a):
    x, mean, scale = t[:3]
    y = (x.to(mean.dtype) - mean) * scale
    return y if len(t) == 3 else augmented(y, *t[3:])


def augmented(x, shifts, flips):
    n, h, w, _ = x.shape
    rows, columns = torch.arange(h), torch.arange(w)
    images = []
    for i in range(n):
        (dy, dx), flip = shifts[i].tolist(), int(flips[i])
        down, across = rows + dy, (w - 1 - columns if flip else columns) + dx
        inside = ((down >= 0) & (down < h))[:, None] & ((across >= 0) & (across < w))[None, :]
        pixels = x[i][down.clamp(0, h - 1)][:, across.clamp(0, w - 1)]
        images.append(torch.where(inside[:, :, None], pixels, torch.zeros_like(pixels)))
    return torch.stack(images)


LAYOUT = {
    'reshape': lambda t, a: t[0].reshape(a['shape']),
    'transpose': lambda t, a: t[0].permute(a['perm'] if a['perm'] is not None else list(range(t[0].dim()))[::-1]),
    'broadcastTo': lambda t, a: t[0].broadcast_to(a['shape']) + 0,
    'slice': lambda t, a: python_slice(t[0], a['ranges']),
    'concat': lambda t, a: torch.cat(t, a['axis']),
    'stack': lambda t, a: torch.stack(t, a['axis']),
    'split': lambda t, a: list(torch.split(t[0], a['sizes'], a['axis'])),
    'squeeze': squeeze,
    'expandDims': lambda t, a: t[0].unsqueeze(a['axis']),
    'flip': lambda t, a: t[0].flip(list(range(t[0].dim())) if a['axes'] is None else a['axes']),
    'roll': lambda t, a: torch.roll(t[0], a['shifts'], a['axes']) if a['axes'] != [] else t[0] + 0,
    # PyTorch's diag fails for a diagonal outside the matrix. Its diagonal is empty.
    'diag': lambda t, a: torch.diag(t[0], a['offset']) if t[0].dim() == 1 else t[0].diagonal(a['offset']) + 0,
    'triu': lambda t, a: torch.triu(t[0], a['offset']),
    'tril': lambda t, a: torch.tril(t[0], a['offset']),
    'pixelShuffle': lambda t, a: channels_last(F.pixel_shuffle(planes(t[0]), a['factor'])),
    'pixelUnshuffle': lambda t, a: channels_last(F.pixel_unshuffle(planes(t[0]), a['factor'])),
    'tile': lambda t, a: t[0].tile(a['counts']),
    'repeat': lambda t, a: t[0].repeat_interleave(a['count'], a['axis']),
    'pad': pad,
    'gather': gather,
    'takeAlongAxis': lambda t, a: t[0].gather(a['axis'], t[1].long()),
    'scatterAdd': scatter_add,
    'scatterAddAlongAxis': scatter_along,
    'oneHot': one_hot,
    'sort': sort,
    'argSort': lambda t, a: sort(t, a)[1],
    'topK': top,
    'normalizeImages': normalize_images,
}


# ---- reductions and products ----------------------------------------------------------------------------------

def axes_of(x, axes):
    if axes is None:
        return list(range(x.dim()))
    return sorted(axis % x.dim() for axis in ([axes] if isinstance(axes, int) else axes))


def last(x, axes):
    """The reduced axes as one last axis."""
    kept = [i for i in range(x.dim()) if i not in axes]
    return x.permute([*kept, *axes]).reshape([*(x.shape[i] for i in kept), math.prod(x.shape[i] for i in axes)])


def reduced(function):
    """Reduces one last axis, and restores the reduced axes with size 1 where the case keeps them."""

    def apply(t, a):
        x = t[0]
        axes = axes_of(x, a['axes'])
        # No axes: nothing is reduced.
        y = function(last(x, axes), a)
        return y.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]) if a['keepDims'] else y

    return apply


def order_norm(x, a):
    if a['order'] == 'Infinity':
        return x.abs().max(-1).values
    return torch.linalg.vector_norm(x, float(a['order']), -1)


def position(choose):
    def apply(t, a):
        x = t[0]
        axes = axes_of(x, a['axis'])
        y = choose(last(x, axes)).int()
        return y.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]) if a['keepDims'] else y

    return apply


def running(function, initial):
    """A running sum or product."""

    def apply(t, a):
        x, axis = t[0], a['axis']
        y = x.flip(axis) if a['reverse'] else x
        total = function(y, axis)
        if a['exclusive']:
            n = x.shape[axis]
            total = torch.cat([torch.full_like(y.narrow(axis, 0, 1), initial), total.narrow(axis, 0, n - 1)], axis)
        return total.flip(axis) if a['reverse'] else total

    return apply


def quantile(t, a):
    q = a.get('q', 0.5)
    share = lambda p: reduced(lambda x, _: torch.quantile(x, p, -1, interpolation=a['interpolation']))(t, a)
    return torch.stack([share(p) for p in q]) if isinstance(q, list) else share(q)


def matmul(t, a):
    x, y = t
    return torch.matmul(x.transpose(-1, -2) if a['transA'] else x, y.transpose(-1, -2) if a['transB'] else y)


REDUCE = {
    'sum': reduced(lambda x, a: x.sum(-1)),
    'mean': reduced(lambda x, a: x.mean(-1)),
    'max': reduced(lambda x, a: x.max(-1).values),
    'min': reduced(lambda x, a: x.min(-1).values),
    'prod': reduced(lambda x, a: x.prod(-1)),
    'logSumExp': reduced(lambda x, a: x.logsumexp(-1)),
    'any': reduced(lambda x, a: x.ne(0).any(-1).to(torch.uint8)),
    'all': reduced(lambda x, a: x.ne(0).all(-1).to(torch.uint8)),
    'norm': reduced(order_norm),
    'variance': reduced(lambda x, a: torch.var(x, -1, correction=a['correction'])),
    'std': reduced(lambda x, a: torch.std(x, -1, correction=a['correction'])),
    'median': quantile,
    'quantile': quantile,
    'argMax': position(lambda x: x.max(-1).indices),
    'argMin': position(lambda x: x.min(-1).indices),
    'softmax': lambda t, a: t[0].softmax(a['axis']),
    'logSoftmax': lambda t, a: t[0].log_softmax(a['axis']),
    'cumsum': running(torch.cumsum, 0.0),
    'cumprod': running(torch.cumprod, 1.0),
    'dot': lambda t, a: torch.dot(*t),
    'outer': lambda t, a: torch.outer(*t),
    'matmul': matmul,
    'einsum': lambda t, a: torch.einsum(a['equation'], *t),
}


# ---- images ---------------------------------------------------------------------------------------------------

def planes(x):  # [N,H,W,C] -> [N,C,H,W]
    return x.permute(0, 3, 1, 2)


def channels_last(x):  # [N,C,H,W] -> [N,H,W,C]
    return x.permute(0, 2, 3, 1)


def pair(value):
    return [value, value] if isinstance(value, int) else list(value)


def pads_of(padding, sizes, spans, strides):
    """[top, bottom, left, right]."""
    if padding == 'valid':
        return [0, 0, 0, 0]
    if padding == 'same':
        pads = []
        for size, span, stride in zip(sizes, spans, strides):
            total = max((-(-size // stride) - 1) * stride + span - size, 0)
            pads += [total // 2, total - total // 2]
        return pads
    if isinstance(padding, int):
        return [padding] * 4
    return [padding[0], padding[0], padding[1], padding[1]] if len(padding) == 2 else list(padding)


PADDING_MODES = {'zeros': 'constant', 'reflect': 'reflect', 'edge': 'replicate'}


def conv2d(t, a):
    x, w = t
    strides, dilation = pair(a['stride']), pair(a['dilation'])
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[:2], dilation)]
    top, bottom, left, right = pads_of(a['padding'], x.shape[1:3], spans, strides)
    padded = F.pad(planes(x), (left, right, top, bottom), PADDING_MODES[a.get('paddingMode', 'zeros')]).contiguous()
    return channels_last(
        F.conv2d(padded, w.permute(3, 2, 0, 1).contiguous(), stride=strides, dilation=dilation, groups=a['groups']))


def row_pads(padding, length, span, stride):
    """[before, after]."""
    return pads_of([0, 0, *padding] if isinstance(padding, list) else padding, (1, length), (1, span), (1, stride))[2:]


def conv1d(t, a):
    x, w = t
    span = (w.shape[0] - 1) * a['dilation'] + 1
    pads = row_pads(a['padding'], x.shape[1], span, a['stride'])
    padded = F.pad(x.permute(0, 2, 1), pads).contiguous()
    options = {'stride': a['stride'], 'dilation': a['dilation'], 'groups': a['groups']}
    return F.conv1d(padded, w.permute(2, 1, 0).contiguous(), **options).permute(0, 2, 1)


def conv2d_transpose(t, a):
    x, w = t
    strides, dilation, extra = pair(a['stride']), pair(a['dilation']), pair(a['outputPadding'])
    spans = [(k - 1) * d + 1 for k, d in zip(w.shape[:2], dilation)]
    full = F.conv_transpose2d(planes(x).contiguous(), w.permute(3, 2, 0, 1).contiguous(), stride=strides, dilation=dilation, groups=a['groups'])
    if a['padding'] == 'same':
        sizes = [n * s for n, s in zip(x.shape[1:3], strides)]
        pads = pads_of('same', sizes, spans, strides)
    else:
        pads = pads_of(a['padding'], x.shape[1:3], spans, strides)
        sizes = [(n - 1) * s + span - pads[2 * i] - pads[2 * i + 1] + extra[i]
                 for i, (n, s, span) in enumerate(zip(x.shape[1:3], strides, spans))]
    missing = [max(pads[2 * i] + sizes[i] - full.shape[2 + i], 0) for i in (0, 1)]
    full = F.pad(full, (0, missing[1], 0, missing[0]))
    return channels_last(full[:, :, pads[0]:pads[0] + sizes[0], pads[2]:pads[2] + sizes[1]])


def windows(x, a, fill):
    """Every pooling window, [N, H', W', C, kernel positions], and the number of positions inside the padded image."""
    kernel, strides = pair(a['kernel']), pair(a['stride'])
    pads = pads_of(a['padding'], x.shape[1:3], kernel, strides)
    counts, extents = [], []
    for i in (0, 1):
        before, after, size = pads[2 * i], pads[2 * i + 1], x.shape[1 + i]
        room = size + before + after - kernel[i]
        out = (-(-room // strides[i]) if a['ceil'] else room // strides[i]) + 1
        # With ceil, the last window starts inside the image or the padding before it.
        if a['ceil'] and (out - 1) * strides[i] >= size + before:
            out -= 1
        starts = [j * strides[i] for j in range(out)]
        counts.append([min(s + kernel[i], size + before + after) - s for s in starts])
        extents.append(max(starts[-1] + kernel[i] - size - before, 0))
    padded = F.pad(planes(x), (pads[2], extents[1], pads[0], extents[0]), value=fill)
    cut = padded.unfold(2, kernel[0], strides[0]).unfold(3, kernel[1], strides[1])
    cut = cut[:, :, :len(counts[0]), :len(counts[1])]
    cut = cut.permute(0, 2, 3, 1, 4, 5).flatten(4)
    divisor = torch.tensor(counts[0], dtype=x.dtype)[:, None] * torch.tensor(counts[1], dtype=x.dtype)[None, :]
    return cut, divisor[None, :, :, None]


def max_pool(t, a):
    return windows(t[0], a, -math.inf)[0].max(-1).values


def average_pool(t, a):
    cut, divisor = windows(t[0], a, 0.0)
    if a['divisor'] == 'inside':
        divisor = windows(torch.ones_like(t[0]).detach(), a, 0.0)[0].sum(-1)
    return cut.sum(-1) / divisor


def in_row(pool):
    """Pooling of sequences [N, L, C] as images of one row."""

    def apply(t, a):
        kernel, stride = a['kernel'], a['stride']
        pads = [0, 0, *row_pads(a['padding'], t[0].shape[1], kernel, stride)]
        return pool([t[0].unsqueeze(1)], {**a, 'kernel': [1, kernel], 'stride': [1, stride], 'padding': pads}).squeeze(1)

    return apply


def adaptive(pool):
    return lambda t, a: channels_last(pool(planes(t[0]), pair(a['size'])))


def resize(t, a):
    x = t[0]
    size = pair(a['size'])
    if a['mode'] == 'nearest':
        rows, columns = [torch.tensor([i * n // out for i in range(out)]) for n, out in zip(x.shape[1:3], size)]
        return x.index_select(1, rows).index_select(2, columns)
    options = {'mode': a['mode'], 'align_corners': a['alignCorners'], 'antialias': a['antialias']}
    return channels_last(F.interpolate(planes(x), size, **options))


def warp_affine(t, a):
    x, matrix = t
    height, width = x.shape[1:3]
    # From pixels to the units of grids, in which an image reaches from -1 to 1.
    sizes = torch.tensor([width, height], dtype=x.dtype)
    to = torch.tensor([width, height, 2.0], dtype=x.dtype)
    theta = matrix * to / sizes[:, None]
    grid = F.affine_grid(theta, planes(x).shape, align_corners=False)
    return channels_last(F.grid_sample(planes(x), grid, align_corners=False))


def batch_norm(t, a):
    x, *affine = t
    dims = list(range(x.dim() - 1))
    y = F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, *(affine or (None, None)), training=True, eps=a['epsilon'])
    return [y.reshape(x.shape), x.mean(dims), x.var(dims, unbiased=False)]


def batch_norm_inference(t, a):
    x, mean, variance, *affine = t
    y = (x - mean) / torch.sqrt(variance + a['epsilon'])
    return y * affine[0] + affine[1] if affine else y


def layer_norm(t, a):
    x, *affine = t
    return F.layer_norm(x, x.shape[-a['axes']:], *(affine or (None, None)), eps=a['epsilon'])


def group_norm(t, a):
    x, *affine = t
    if is_double(x):  # PyTorch's variance is the difference of E(x^2) and the square of the mean
        view = x.reshape(x.shape[0], -1, a['groups'], x.shape[-1] // a['groups'])
        mean = view.mean([1, 3], keepdim=True)
        variance = (view - mean).square().mean([1, 3], keepdim=True)
        y = ((view - mean) / torch.sqrt(variance + a['epsilon'])).reshape(x.shape)
        return y * affine[0] + affine[1] if affine else y
    y = F.group_norm(x.movedim(-1, 1), a['groups'], *(affine or (None, None)), eps=a['epsilon'])
    return y.movedim(1, -1)


def instance_norm(t, a):
    return group_norm(t, {'groups': t[0].shape[-1], **a})


def lrn_within(t, a):
    x, size = planes(t[0]), a['size']
    mean = F.avg_pool2d(x.square(), size, 1, (size - 1) // 2, count_include_pad=True)
    return channels_last(x * (1 + a['alpha'] * mean).pow(-a['beta']))


def lrn_across(t, a):
    return channels_last(F.local_response_norm(planes(t[0]), a['size'], a['alpha'], a['beta'], k=1.0))


IMAGES = {
    'conv2d': conv2d,
    'conv2dTranspose': conv2d_transpose,
    'maxPool2d': max_pool,
    'avgPool2d': average_pool,
    'conv1d': conv1d,
    'maxPool1d': in_row(max_pool),
    'avgPool1d': in_row(average_pool),
    'adaptiveAvgPool2d': adaptive(F.adaptive_avg_pool2d),
    'adaptiveMaxPool2d': adaptive(F.adaptive_max_pool2d),
    'globalAvgPool2d': lambda t, a: t[0].mean([1, 2]),
    'globalMaxPool2d': lambda t, a: last(t[0], [1, 2]).max(-1).values,
    'resize2d': resize,
    'warpAffine': warp_affine,
    'batchNorm': batch_norm,
    'batchNormInference': batch_norm_inference,
    'layerNorm': layer_norm,
    'groupNorm': group_norm,
    'instanceNorm': instance_norm,
    'lrnWithin': lrn_within,
    'lrnAcross': lrn_across,
}


# ---- losses ---------------------------------------------------------------------------------------------------

def by_example(loss, a):
    rows = loss.flatten(1).mean(1) if loss.dim() > 1 else loss
    return over_examples(rows, a)


def over_examples(rows, a):
    return {'mean': rows.mean, 'sum': rows.sum, 'none': lambda: rows}[a['reduction']]()


def binary(z, target, weight=None):
    if is_double(z) or Formulas.accurate:
        return (1 - target) * softplus(z) + (1 if weight is None else weight) * target * softplus(-z)
    return F.binary_cross_entropy_with_logits(z, target, reduction='none', pos_weight=weight)


def focal(t, a):
    z, target = t
    log_gate = -softplus(-z * (1 - 2 * target))
    weight = target * (2 * a['alpha'] - 1) + 1 - a['alpha']
    return by_example(binary(z, target) * torch.exp(a['gamma'] * log_gate) * weight, a)


def dice(t, a):
    z, target = t
    p = sigmoid(z) if is_double(z) else torch.sigmoid(z)
    rows = lambda x: x.flatten(1).sum(1) if x.dim() > 1 else x
    if is_double(z):
        apart = rows(p * (1 - target) + sigmoid(-z) * target)
        return over_examples(apart / (rows(p) + rows(target) + a['smooth']), a)
    return over_examples(1 - (2 * rows(p * target) + a['smooth']) / (rows(p) + rows(target) + a['smooth']), a)


def kl_divergence(t, a):
    z, target = t[0], t[1].detach()
    return over_examples((torch.special.xlogy(target, target) - target * z.log_softmax(1)).sum(1), a)


def cross_entropy(t, a):
    """The mean is PyTorch's. PyTorch has no loss for each example of several positions: it is the mean over those that count."""
    z, target, *weight = t
    is_soft = target.is_floating_point()
    target = target.movedim(-1, 1) if is_soft else target.long()
    ignored = -100 if a['ignoreIndex'] is None else a['ignoreIndex']
    loss = lambda reduction: F.cross_entropy(
        z.movedim(-1, 1), target, weight[0] if weight else None, ignore_index=ignored, reduction=reduction,
        label_smoothing=a['labelSmoothing'])
    if a['reduction'] == 'mean':
        return loss('mean')
    counts = torch.ones_like(z[..., 0]) if is_soft else target.ne(ignored).to(z.dtype)
    rows = loss('none').reshape(len(z), -1).sum(1) / counts.reshape(len(z), -1).sum(1).clamp(min=1)
    return over_examples(rows, a)


def cosine_similarity(t, a):
    if a['epsilon'] < 1:
        return F.cosine_similarity(*t, dim=a['axis'], eps=a['epsilon'])
    # Vectors may be shorter than epsilon. PyTorch's gradient ignores the maximum.
    unit = lambda x: x / torch.linalg.vector_norm(x, dim=a['axis'], keepdim=True).clamp(min=a['epsilon'])
    x, y = torch.broadcast_tensors(*t)
    return (unit(x) * unit(y)).sum(a['axis'])


def cosine_embedding(t, a):
    x, y, labels = t
    if not is_double(x):
        return F.cosine_embedding_loss(*t, margin=a['margin'], reduction=a['reduction'])
    # PyTorch adds 1e-12 to the squares of the lengths.
    cosine = F.cosine_similarity(x, y, dim=1)
    return over_examples(torch.where(labels > 0, 1 - cosine, (cosine - a['margin']).clamp(min=0)), a)


def triplet_margin(t, a):
    return F.triplet_margin_loss(*t, margin=a['margin'], p=a['order'], swap=a['swap'], reduction=a['reduction'])


def accuracy(t, a):
    z, labels = t
    correct = (z.max(1).indices == labels.long()) & ~z.isnan().any(1)
    return over_examples(correct.to(z.dtype), a)


LOSSES = {
    'crossEntropy': cross_entropy,
    'accuracy': accuracy,
    'klDivergence': kl_divergence,
    'meanSquaredError': lambda t, a: by_example((t[0] - t[1]).square(), a),
    'meanAbsoluteError': lambda t, a: by_example(F.l1_loss(*t, reduction='none'), a),
    'smoothL1Loss': lambda t, a: by_example(F.smooth_l1_loss(*t, reduction='none', beta=a['beta']), a),
    'cosineSimilarity': cosine_similarity,
    'cosineEmbeddingLoss': cosine_embedding,
    'tripletMarginLoss': triplet_margin,
    'huberLoss': lambda t, a: by_example(F.huber_loss(*t, reduction='none', delta=a['delta']), a),
    'binaryCrossEntropy': lambda t, a: by_example(binary(*t), a),
    'focalLoss': focal,
    'diceLoss': dice,
}


# ---- layers: the input, then the parameters in the order of the layer -----------------------------------------

def biased(function):
    def apply(t, a):
        y = function(t[:2], a)
        return y + t[2] if a['bias'] else y

    return apply


def depthwise(t, a):
    return conv2d(t, {**a, 'groups': t[0].shape[-1]})


def standardized(x, mean, variance, affine, epsilon):
    y = (x - mean) / torch.sqrt(variance + epsilon)
    return y * affine[0] + affine[1] if affine else y


def batch_statistics(x):
    dims = list(range(x.dim() - 1))
    return x.mean(dims), x.var(dims, unbiased=False), x.var(dims, unbiased=True)


def batch_norm_layer(t, a):
    x, *params = t
    affine, (mean, variance) = params[:-2], params[-2:]
    if not a['training']:
        return [standardized(x, mean, variance, affine, a['epsilon']), mean + 0, variance + 0]
    m = a['momentum']
    own_mean, own, unbiased = batch_statistics(x)
    y = standardized(x, own_mean, own, affine, a['epsilon'])
    return [y, (1 - m) * mean + m * own_mean, (1 - m) * variance + m * unbiased]


def caffe_batch_norm(t, a):
    x, *params = t
    affine, (mean_sum, variance_sum, count) = params[:-3], params[-3:]
    if not a['training']:
        y = standardized(x, mean_sum / count, variance_sum / count, affine, a['epsilon'])
        return [y, mean_sum + 0, variance_sum + 0, count + 0]
    own_mean, own, unbiased = batch_statistics(x)
    y = standardized(x, own_mean, own, affine, a['epsilon'])
    f = a['fraction']
    return [y, f * mean_sum + own_mean, f * variance_sum + unbiased, f * count + 1]


ACTIVATIONS = {name: lambda x, n=name: ELEMENTWISE[n]([x], {'approximate': None}) for name in ('tanh', 'silu', 'sigmoid', 'gelu')}


def network(t, a):
    x, *params = t
    act = ACTIVATIONS[a['activation']]
    take = lambda: params.pop(0)
    plain = {'stride': 1, 'dilation': 1, 'groups': 1}
    y = conv2d([x, take()], {**plain, 'padding': 1}) + take()
    if a['norm'] == 'batch':
        affine = [take(), take()]
        running = [take(), take()]
        statistics = batch_statistics(y)[:2] if a['training'] else running
        y = standardized(y, *statistics, affine, 1e-5)
    elif a['norm'] == 'group':
        y = group_norm([y, take(), take()], {'groups': 1, 'epsilon': 1e-5})
    y = act(y)
    pool = {'kernel': 2, 'stride': 2, 'padding': 0, 'ceil': False, 'divisor': 'clipped'}
    y = max_pool([y], pool) if a['pool'] == 'max' else average_pool([y], pool)
    y = act(conv2d([y, take()], {**plain, 'padding': 2}))
    return y.flatten(1) @ take() + take()


def upsample(t, a):
    size = [n * a['factor'] for n in t[0].shape[1:3]]
    return resize(t, {'size': size, 'mode': a['mode'], 'alignCorners': False, 'antialias': False})


def attention(t, a):
    q, k, v, *mask = t
    split = lambda x: x.unflatten(-1, (a['heads'], -1)).transpose(-2, -3)
    scores = a['scale'] * (split(q) @ split(k).transpose(-1, -2))
    if a['mask'] == 'floats':
        scores = scores + mask[0]
    seen = torch.ones_like(scores, dtype=torch.bool)
    if a['mask'] == 'bytes':
        seen = seen & (mask[0] != 0)
    if a['causal']:
        seen = seen.tril()
    weights = scores.masked_fill(~seen, -1e30).softmax(-1) * seen
    return (weights @ split(v)).transpose(-2, -3).flatten(-2)


def multi_head(x, a, take, bias):
    dense = lambda u: u @ take() + (take() if bias else 0)
    q, k, v = dense(x).chunk(3, -1)
    scale = (a['width'] // a['heads']) ** -0.5
    return dense(attention([q, k, v], {**a, 'scale': scale, 'mask': 'none'}))


def multi_head_attention(t, a):
    x, *params = t
    return multi_head(x, a, lambda: params.pop(0), a['bias'])


def transformer_block(t, a):
    x, *params = t
    take = lambda: params.pop(0)
    norm = lambda u: layer_norm([u, take(), take()], {'axes': 1, 'epsilon': a['epsilon']})
    h = x + multi_head(norm(x), a, take, True)
    hidden = ELEMENTWISE['gelu']([norm(h) @ take() + take()], {'approximate': None})
    return h + hidden @ take() + take()


def patch_embedding(t, a):
    (rows, columns), x = a['patch'], t[0]
    patches = x.unflatten(2, (-1, columns)).unflatten(1, (-1, rows)).transpose(2, 3).flatten(3).flatten(1, 2)
    return patches @ t[1].flatten(0, 2)


def positional_embedding(t, a):
    if a['kind'] == 'learned':
        return t[0] + t[1][:t[0].shape[1]]
    x, channel = t[0], torch.arange(a['width'])
    power = 10000 ** ((channel - channel % 2).double() / a['width'])
    angle = torch.arange(x.shape[1])[:, None] / power
    return x + torch.where(channel % 2 == 0, angle.sin(), angle.cos()).to(x.dtype)


ACCURATE |= {'binaryCrossEntropy', 'focalLoss'}

LAYERS = {
    'nn.dense': biased(lambda t, a: t[0] @ t[1]),
    'nn.conv2d': biased(conv2d),
    'nn.conv1d': biased(conv1d),
    'nn.prelu': lambda t, a: ELEMENTWISE['prelu'](t, a),
    'nn.depthwiseConv2d': biased(depthwise),
    'nn.conv2dTranspose': biased(conv2d_transpose),
    'nn.embedding': lambda t, a: t[1][t[0].long()],
    'nn.batchNorm': batch_norm_layer,
    'nn.caffeBatchNorm': caffe_batch_norm,
    'nn.layerNorm': lambda t, a: layer_norm(t, {'axes': len(a['shape']), 'epsilon': 1e-5}),
    'nn.groupNorm': lambda t, a: group_norm(t, {'groups': a['groups'], 'epsilon': 1e-5}),
    'nn.instanceNorm': lambda t, a: instance_norm(t, {'epsilon': 1e-5}),
    'nn.lrn': lambda t, a: (lrn_within if a['region'] == 'within-channel' else lrn_across)(t, a),
    'nn.maxPool2d': max_pool,
    'nn.avgPool2d': average_pool,
    'nn.maxPool1d': in_row(max_pool),
    'nn.avgPool1d': in_row(average_pool),
    'nn.upsample2d': upsample,
    'nn.normalize': normalize_images,
    'nn.network': network,
    'attention': attention,
    'nn.multiHeadAttention': multi_head_attention,
    'nn.transformerBlock': transformer_block,
    'nn.patchEmbedding': biased(patch_embedding),
    'nn.classToken': lambda t, a: torch.cat([t[1].expand(t[0].shape[0], 1, -1), t[0]], 1),
    'nn.positionalEmbedding': positional_embedding,
}

OPERATIONS = {**ELEMENTWISE, **LAYOUT, **REDUCE, **IMAGES, **LOSSES, **LAYERS}
