/** Weights of other libraries: `import { fromTorch, toTorch } from 'cyclegrad/interop'`. */
export { fromTorch, toTorch, type TorchOptions } from './torch.ts';
