import { add, compile, f32, grad, mul, reference, slice, split, sum, type Tensor } from 'cyclegrad';
import { expect, test } from 'vitest';

/** The operations of the plan of dx, and its value for x = [[0, 1, 2, 3, 4, 5]] of a function of x [1, 6]. */
async function gradientOf(fn: (x: Tensor) => Tensor): Promise<{ ops: string[]; dx: number[] }> {
  const step = await compile(reference(), {
    inputs: { x: f32(1, 6) },
    build: ({ x }) => ({ outputs: { dx: grad(sum(fn(x)), [x])[0] } }),
  });
  const { dx } = await step.run({ x: Float32Array.of(0, 1, 2, 3, 4, 5) });
  return { ops: step.plan.steps.map(({ op }) => op), dx: [...dx.data] };
}

const square = (x: Tensor): Tensor => mul(x, x);

test('The gradient of the parts of a split is their concatenation', async () => {
  const { ops, dx } = await gradientOf((x) => {
    const [a, b, c] = split(x, 3, 1);
    return add(mul(square(a), b), c);
  });
  expect(ops).toContain('concat');
  expect(ops).not.toContain('pad');
  // d/da a²b = 2ab, d/db a²b = a², d/dc c = 1
  expect(dx).toEqual([0, 6, 0, 1, 1, 1]);
});

test('Neighboring slices that leave out elements have gradients of 0 there', async () => {
  const { ops, dx } = await gradientOf((x) =>
    mul(square(slice(x, [null, { begin: 1, end: 3 }])), slice(x, [null, { begin: 3, end: 5 }])),
  );
  expect(ops.filter((op) => op === 'pad')).toHaveLength(1);
  expect(dx).toEqual([0, 6, 16, 1, 4, 0]);
});

test('The gradients of slices that overlap are added', async () => {
  const { ops, dx } = await gradientOf((x) =>
    mul(slice(x, [null, { begin: 0, end: 4 }]), slice(x, [null, { begin: 2, end: 6 }])),
  );
  expect(ops).not.toContain('concat');
  expect(dx).toEqual([2, 3, 4 + 0, 5 + 1, 2, 3]);
});
