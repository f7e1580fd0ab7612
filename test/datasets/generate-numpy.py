"""Writes numpy.json: files that NumPy wrote, in base64, with their values. Run it with any NumPy: python3 generate-numpy.py"""
import base64
import io
import json
import os

import numpy as np


def file_of(save, *args, **kwargs):
    out = io.BytesIO()
    save(out, *args, **kwargs)
    return base64.b64encode(out.getvalue()).decode()


NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def expected(array):
    values = array.astype("f4") if array.dtype.kind == "f" else array.astype("i8")
    return {"shape": list(array.shape), "data": [NOT_FINITE.get(str(v), v) for v in values.ravel().tolist()]}


arrays = {}
for name in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
    for order in ["<", ">"] if name[1] != "1" else ["|"]:
        low = 0 if name[0] == "u" else -3
        arrays[order + name] = np.arange(low, low + 6).reshape(2, 3).astype(order + name)
arrays["bool"] = np.array([True, False, True])
arrays["scalar"] = np.float32(2.5)
arrays["empty"] = np.zeros((0, 4), "f4")
arrays["not finite"] = np.array([np.nan, np.inf, -np.inf, 0.1])
arrays["fortran"] = np.asfortranarray(np.arange(24, dtype="i4").reshape(2, 3, 4))
arrays["fortran, big-endian"] = np.asfortranarray(np.arange(6, dtype=">f8").reshape(3, 2))

right = [{"name": name, "file": file_of(np.save, array), **expected(np.asarray(array))} for name, array in arrays.items()]
for version in [(1, 0), (2, 0), (3, 0)]:
    array = np.arange(3, dtype="f4")
    file = file_of(lambda out: np.lib.format.write_array(out, array, version=version))
    right.append({"name": f"version {version[0]}", "file": file, **expected(array)})

wrong = {
    "objects": file_of(np.save, np.array([1, "a", None], dtype=object)),
    "complex": file_of(np.save, np.zeros(2, "c8")),
    "text": file_of(np.save, np.array(["a", "bc"])),
    "bytes": file_of(np.save, np.array([b"a", b"bc"])),
    "dates": file_of(np.save, np.zeros(2, "M8[s]")),
    "records": file_of(np.save, np.zeros(2, [("x", "f4"), ("y", "i4")])),
    "beyond f32": file_of(np.save, np.array([1e300])),
    "beyond i32": file_of(np.save, np.array([2**31])),
}

x = np.arange(6, dtype="f4").reshape(2, 3)
y = np.array([1, 0], "i8")
archives = {
    "stored": file_of(np.savez, x=x, y=y),
    "compressed": file_of(np.savez_compressed, x=x, y=y),
    "without names": file_of(np.savez, x, y),
}

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "numpy.json"), "w") as out:
    json.dump({"numpy": np.__version__, "right": right, "wrong": wrong, "archives": archives}, out, indent=1)
    out.write("\n")
