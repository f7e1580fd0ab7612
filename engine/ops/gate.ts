/** Smooth gates, x · gate(x), whose derivatives stay finite for large x. */
import type { Tensor } from '../tensor.ts';
import { customGradient } from './custom.ts';
import { add, clamp, mul } from './elementwise.ts';

/** Beyond ±FAR the derivatives of smooth activations are constant, even in double precision. */
const FAR = 1000;
const within = (x: Tensor): Tensor => clamp(x, -FAR, FAR);

/**
 * x · gate, for a gate that is a smooth function of x and constant beyond ±FAR. The gradient of the gate uses x clamped to
 * ±FAR, which avoids Infinity · 0.
 */
export const gatedBy = customGradient({
  name: 'gatedBy',
  forward: (x, gate) => mul(x, gate),
  gradient: ({ inputs: [x, gate], grad }) => [mul(grad, gate), mul(grad, within(x))],
});

/**
 * x · gate(x). `slope` computes the derivative of the gate from gate(x) and from x clamped to ±FAR, whose powers do not
 * overflow.
 */
export function gated(
  name: string,
  x: Tensor,
  gate: (x: Tensor) => Tensor,
  slope: (x: Tensor, y: Tensor) => Tensor,
): Tensor {
  const share = customGradient({
    name,
    forward: gate,
    gradient: ({ inputs: [t], output, grad }) => [mul(grad, slope(within(t), output))],
  })(x);
  return customGradient({
    name: `x times ${name}`,
    forward: (t, y) => mul(t, y),
    // All of the derivative by x, so that x is clamped once. The gate gets none.
    gradient({ inputs: [t, y], grad }) {
      const near = within(t);
      return [mul(grad, add(y, mul(near, slope(near, y)))), null];
    },
  })(x, share);
}
