"""What the generators of the oracle share: values, how they are written, and how a case is computed.

Everything is computed in double precision. Inputs are short binary fractions, exact in float32, so that a
single-precision backend starts from the same numbers; results have 9 significant digits. The JSON is channels
last throughout: images [N,H,W,C], filters [KH,KW,C,O], dense weights [in,out].
"""

import json
import math

import numpy as np
import torch

rng = np.random.default_rng(20150417)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.manual_seed(0)

cases = []


# ---- values ---------------------------------------------------------------------------------------------------

def reseed(seed):
    """Draws begin anew: what is drawn before does not change what comes after."""
    rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state


def draw(shape, low=-2.0, high=2.0, grid=16):
    """Uniform multiples of 1/grid in [low, high]."""
    return rng.integers(round(low * grid), round(high * grid), size=shape, endpoint=True) / grid


def distinct(shape, grid=16):
    """As draw, centred on zero, but no value occurs twice: no ties for a maximum to break."""
    size = math.prod(shape)
    return (rng.permutation(size) - size // 2).reshape(shape) / grid


def encode(value, dtype=None):
    array = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
    assert np.isfinite(array).all()
    if dtype is None and isinstance(value, torch.Tensor):
        dtype = {torch.bool: 'u8', torch.uint8: 'u8', torch.int32: 'i32', torch.int64: 'i32'}.get(value.dtype)
    if dtype is not None:
        return {'shape': list(array.shape), 'dtype': dtype, 'data': [int(v) for v in array.ravel()]}
    return {'shape': list(array.shape), 'data': [short(v) for v in array.ravel()]}


def short(value):
    number = float(f'{float(value):.9g}')
    return int(number) if number.is_integer() and abs(number) < 1e9 else number


def close(a, b):
    a, b = np.asarray(a.detach() if isinstance(a, torch.Tensor) else a), np.asarray(b)
    assert a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=1e-12), (a, b)


def case(op, name, attrs, inputs, compute, grad_of=None, integers=(), flags=(), also=None):
    """
    Runs `compute(**inputs)` -> {output name: tensor}; the output `y` gets a random gradient, where it is made of floats.
    `integers` and `flags` name the inputs that are i32, and u8 (booleans for torch).
    """
    whole = (*integers, *flags)
    leaves = {
        key: torch.tensor(value, requires_grad=key not in whole and (grad_of is None or key in grad_of))
        for key, value in inputs.items()
    }
    outputs = compute(**leaves)
    y = outputs['y']
    grad_output = draw(tuple(y.shape), -1, 1, 4) if y.dim() else np.array(1.0)
    wanted = [key for key, leaf in leaves.items() if leaf.requires_grad and y.requires_grad]
    if y.requires_grad:
        y.backward(torch.tensor(grad_output))
    if also is not None:
        also({key: leaf for key, leaf in leaves.items()}, outputs, grad_output)
    cases.append({
        'op': op,
        'name': name,
        'attrs': attrs,
        'inputs': {
            key: encode(value, 'i32' if key in integers else 'u8' if key in flags else None)
            for key, value in inputs.items()
        },
        **({'gradOutput': encode(grad_output)} if y.requires_grad else {}),
        'outputs': {key: encode(value) for key, value in outputs.items()},
        'grads': {key: encode(leaves[key].grad) for key in wanted},
    })


def planes(x):  # [N,H,W,C] -> [N,C,H,W]
    return x.permute(0, 3, 1, 2)


def last(x):  # [N,C,H,W] -> [N,H,W,C]
    return x.permute(0, 2, 3, 1)


def compact(value):
    return json.dumps(value, separators=(',', ':'), allow_nan=False)


def lines(values):
    return '[\n' + ',\n'.join(compact(value) for value in values) + '\n]'
