/** Smooth gates: x · gate(x) with derivatives that stay finite where x is large. */
import type { Tensor } from '../tensor.ts';
import { customGradient } from './custom.ts';
import { clamp, mul } from './elementwise.ts';

/** Beyond ±FAR the derivatives of smooth activations are constant, in double precision too. */
const FAR = 1000;
const within = (x: Tensor): Tensor => clamp(x, -FAR, FAR);

/**
 * x · gate, where the gate is a smooth function of x that is constant beyond ±FAR. The derivative by the gate uses x clamped to
 * ±FAR, so that Infinity · 0 does not occur.
 */
export const gatedBy = customGradient({
  name: 'gatedBy',
  forward: (x, gate) => mul(x, gate),
  gradient: ({ inputs: [x, gate], grad }) => [mul(grad, gate), mul(grad, within(x))],
});

/** x · gate(x). `slope` gives the derivative of the gate from x clamped to ±FAR, whose powers do not overflow, and gate(x). */
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
  return gatedBy(x, share);
}
