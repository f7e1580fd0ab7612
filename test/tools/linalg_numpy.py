"""Decompositions by NumPy of the matrices on the standard input, one JSON list of rows a line: linalg_numpy.py"""

import json
import sys

import numpy as np

for line in sys.stdin:
    a = np.array(json.loads(line))
    q, r = np.linalg.qr(a)
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)  # ours has no negative number on the diagonal
    symmetric = a @ a.T
    values, vectors = np.linalg.eigh(symmetric)
    answer = {
        's': np.linalg.svd(a, compute_uv=False),
        'q': q * signs,
        'r': signs[:, None] * r,
        'symmetric': symmetric,
        'values': values,
        'vectors': vectors,
    }
    print(json.dumps({name: value.tolist() for name, value in answer.items()}))
