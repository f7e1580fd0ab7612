/** Models and weights for other libraries: `import { fromTorch, toOnnx, toTorch } from 'cyclegrad/interop'`. */
export { toOnnx, type OnnxOptions } from './onnx.ts';
export { fromTorch, toTorch, type TorchOptions } from './torch.ts';
