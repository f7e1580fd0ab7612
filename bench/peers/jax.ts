/**
 * jax-js as an arm: forward pass and weight gradient of one convolution on its WebAssembly backend, the largest part of the training
 * step that it supports. The types that are used are declared here, because the package is not a dependency.
 */
import type { ConvTrainTask } from '../kernels/ours.ts';
import type { Arm } from '../measure.ts';
import type { FoundPackage } from './found.ts';

interface JaxArray {
  /** Another reference: an operation consumes its operands. */
  readonly ref: JaxArray;
  mul(other: JaxArray): JaxArray;
  sum(): JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface Jax {
  init(device: string): Promise<readonly string[]>;
  defaultDevice(device?: string): string;
  readonly numpy: { array(values: Float32Array): JaxArray };
  readonly lax: {
    convGeneralDilated(x: JaxArray, w: JaxArray, strides: readonly number[], padding: string): JaxArray;
  };
  valueAndGrad(
    fn: (w: JaxArray, x: JaxArray, g: JaxArray) => JaxArray,
  ): (w: JaxArray, x: JaxArray, g: JaxArray) => [JaxArray, JaxArray];
  jit<F>(fn: F): F;
}

export interface JaxArm extends Arm {
  readonly device: string;
}

/** Starts the task. Throws the errors of jax-js. */
export async function startJax(
  { exports }: FoundPackage,
  { batch, size, kernel, inputs, outputs }: ConvTrainTask,
): Promise<JaxArm> {
  const jax = exports as Jax;
  const devices = await jax.init('wasm');
  if (!devices.includes('wasm')) throw new Error(`jax-js: no wasm device (there are: ${devices.join(', ')})`);
  jax.defaultDevice('wasm');
  const wave = (...shape: readonly number[]): JaxArray => {
    const length = shape.reduce((a, b) => a * b, 1);
    return jax.numpy.array(Float32Array.from({ length }, (_, i) => Math.sin(i))).reshape(shape);
  };
  const x = wave(batch, inputs, size, size);
  const w = wave(outputs, inputs, kernel, kernel);
  const g = wave(batch, outputs, size, size);
  const both = jax.jit(
    jax.valueAndGrad((weights, images, gradient) =>
      jax.lax.convGeneralDilated(images, weights, [1, 1], 'SAME').mul(gradient).sum(),
    ),
  );
  const step = async (): Promise<number> => {
    const begin = performance.now();
    const [value, gradient] = both(w.ref, x.ref, g.ref);
    await value.data();
    await gradient.data();
    return performance.now() - begin;
  };
  return {
    name: 'jax-js wasm',
    device: jax.defaultDevice(),
    async turn(skip, count) {
      for (let i = 0; i < skip; i++) await step();
      const ms: number[] = [];
      for (let i = 0; i < count; i++) ms.push(await step());
      return ms;
    },
  };
}
