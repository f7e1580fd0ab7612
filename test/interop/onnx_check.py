"""Checks ONNX files with the checker and the shape inference of the onnx package: onnx_check.py FILE…"""

import sys

import onnx

for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
