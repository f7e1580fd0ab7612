/** Models and weights for other libraries: `import { fromOnnx, fromTorch, toOnnx, toTorch } from 'cyclegrad/interop'`. */
export { fromOnnx, type OnnxInfo, type OnnxModel } from './onnx-import.ts';
export { toOnnx, type OnnxOptions } from './onnx.ts';
export { fromTorch, toTorch, type TorchOptions } from './torch.ts';
