/** The public operations: functions of tensors, most of them composed of few primitives (see primitives/). */
export * from './activation.ts';
export * from './conv.ts';
export * from './create.ts';
export * from './custom.ts';
export * from './einsum.ts';
export * from './elementwise.ts';
export * from './gather.ts';
export * from './images.ts';
export * from './layout.ts';
export * from './loss.ts';
export * from './matmul.ts';
export * from './norm.ts';
export * from './pool.ts';
export * from './random.ts';
export * from './reduce.ts';
export * from './resize.ts';
export * from './trigonometry.ts';
