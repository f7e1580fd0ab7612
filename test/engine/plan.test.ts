// Is the plan right? The same numbers with buffer reuse and without.
/* oxlint-disable vitest/expect-expect -- expectSameBits and properties assert */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import { withPath } from '../../engine/path.ts';
import {
  add,
  batchNorm,
  cast,
  exp,
  f32,
  i32,
  matmul,
  max,
  mul,
  neg,
  relu,
  crossEntropy,
  sub,
  sum,
  tanh,
  tensor,
  u8,
} from '../../engine/ops/index.ts';
import type { Plan } from '../../engine/plan/plan.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor } from '../../engine/types.ts';
import { expectSameBitsByName } from './compare.ts';
import { buildProgram, feedsOf, initialState, programs, typesOf } from './programs.ts';
import { backend, floats, scratch } from './plan-run.ts';

describe('random small graphs', () => {
  it('do the same with reuse, without, and with next values written by the host', async () => {
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const make = (reuse: boolean) =>
          compile(backend, {
            reuse,
            inputs: typesOf(program),
            state: initialState(program),
            build: (inputs, state) => buildProgram(program, inputs, state),
          });
        const [on, off] = [await make(true), await make(false)];
        // The meaning of `next`, without the planner's part in it: new values as outputs, written between runs.
        const byHand = await compile(backend, {
          reuse: false,
          inputs: typesOf(program),
          state: initialState(program),
          build(inputs, state) {
            const { outputs, next } = buildProgram(program, inputs, state);
            const named = Object.entries(next ?? {}).map(([name, t]): [string, Tensor] => [
              `next ${name}`,
              t,
            ]);
            return { outputs: { ...outputs, ...Object.fromEntries(named) } };
          },
        });
        for (let step = 0; step < 3; step++) {
          const feeds = feedsOf(program, step);
          /* eslint-disable no-await-in-loop -- each run depends on the one before */
          const [a, b, c] = [await on.run(feeds), await off.run(feeds), await byHand.run(feeds)];
          const entries = Object.entries(c);
          const outputs = Object.fromEntries(entries.filter(([name]) => !name.startsWith('next ')));
          const next = entries.flatMap(([name, value]): [string, HostTensor][] =>
            name.startsWith('next ') ? [[name.slice(5), value]] : [],
          );
          await byHand.store.write(Object.fromEntries(next));
          expectSameBitsByName(`outputs of run ${step}, reuse on against by hand`, a, outputs);
          expectSameBitsByName(`outputs of run ${step}, reuse off against by hand`, b, outputs);
          const state = await byHand.store.read();
          expectSameBitsByName(`state after run ${step}, reuse on`, await on.store.read(), state);
          expectSameBitsByName(`state after run ${step}, reuse off`, await off.store.read(), state);
          /* eslint-enable no-await-in-loop */
        }
      }),
      { numRuns: 400, seed: 42 },
    );
  });
});

describe('buffers', () => {
  const chain = async (length: number, reuse: boolean): Promise<Plan> => {
    const deep = await compile(backend, {
      reuse,
      inputs: { x: f32(100, 10) },
      build({ x }) {
        let h: Tensor = x;
        for (let i = 0; i < length; i++)
          h = relu(matmul(h, tensor(new Float32Array(100), { shape: [10, 10] })));
        return { outputs: { y: h } };
      },
    });
    await deep.close();
    return deep.plan;
  };

  it('a deep chain needs a constant amount of scratch memory with reuse', async () => {
    const bytes = 100 * 10 * 4;
    expect(scratch(await chain(50, false))).toEqual({ count: 100, bytes: 100 * bytes });
    const short = scratch(await chain(5, true));
    expect(scratch(await chain(50, true))).toEqual(short);
    expect(short.bytes).toBeLessThanOrEqual(2 * bytes);
  });

  it('a result that nothing reads gives its buffer back at once', async () => {
    const make = async (length: number) => {
      const step = await compile(backend, {
        inputs: { x: f32(16, 8) },
        build({ x }) {
          let h: Tensor = x;
          for (let i = 0; i < length; i++) h = add(max(h, 1, { keepDims: true }), x); // positions are not read
          return { outputs: { h } };
        },
      });
      await step.close();
      return scratch(step.plan);
    };
    expect(await make(30)).toEqual(await make(3));
  });

  it('small values do not sit in large buffers', async () => {
    const step = await compile(backend, {
      inputs: { x: f32(64, 64) },
      build({ x }) {
        // [64], while the inner product's buffer of [64, 64] is free.
        return { outputs: { small: sum(matmul(matmul(x, x), x), 0) } };
      },
    });
    const { plan } = step;
    const buffer = plan.buffers[plan.bufferOf[plan.outputs.get('small')!]];
    expect(buffer.bytes).toBe(64 * 4);
    await step.close();
  });

  it('the gradient of a normalisation takes the place of what it is the last to read', async () => {
    const step = await compile(backend, {
      fuse: false,
      inputs: { x: f32(4, 6), g: f32(4, 6) },
      build({ x, g }) {
        const { y } = batchNorm(mul(x, 2));
        return { outputs: { dx: grad(sum(mul(y, g)), [x])[0] } };
      },
    });
    const { steps, bufferOf } = step.plan;
    const { inputs, outputs } = steps.find(({ op }) => op === 'batchNormGrad')!;
    expect(inputs.slice(0, 2).map((v) => bufferOf[v])).toContain(bufferOf[outputs[0]]);
    await step.close();
  });

  it('a training step keeps what its gradient needs and no more', async () => {
    const make = async (reuse: boolean) => {
      const step = await compile(backend, {
        reuse,
        inputs: { x: f32(64, 32), y: i32(64) },
        state: {
          w: { shape: [32, 32], dtype: 'f32', data: new Float32Array(1024) },
        },
        build({ x, y }, { w }) {
          let h: Tensor = x;
          for (let i = 0; i < 6; i++) h = tanh(matmul(h, w));
          const loss = crossEntropy(h, y);
          return { outputs: { loss }, next: { w: sub(w, mul(grad(loss, [w])[0], 0.1)) } };
        },
      });
      await step.close();
      return scratch(step.plan).bytes;
    };
    expect(await make(true)).toBeLessThan(0.5 * (await make(false)));
  });

  it('values alive at the same time never share a buffer', () => {
    // Asserted on the printed plan's own terms: replay it with value numbers instead of numbers.
    const check = (plan: Plan) => {
      const holder = new Map<number, number>();
      const rootOf = (v: number): number => plan.bufferOf[v];
      for (const [v] of plan.constants) holder.set(rootOf(v), v);
      for (const v of [...plan.state.values(), ...plan.inputs.values()]) holder.set(rootOf(v), v);
      const written = new Map<number, number>();
      for (const step of plan.steps) {
        for (const v of step.inputs) {
          const owner = written.get(v);
          const held = owner === undefined || owner === holder.get(rootOf(v));
          expect(held, `${step.op} reads value ${v}, which was overwritten`).toBe(true);
        }
        for (const v of step.outputs) {
          holder.set(rootOf(v), v);
          written.set(v, v);
        }
      }
    };
    return fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const step = await compile(backend, {
          inputs: typesOf(program),
          state: initialState(program),
          build: (inputs, state) => buildProgram(program, inputs, state),
        });
        check(step.plan);
        await step.close();
      }),
      { numRuns: 100, seed: 7 },
    );
  });

  it('what no output needs is not computed', async () => {
    const step = await compile(backend, {
      inputs: { x: f32(2) },
      state: { a: floats(1, 2) },
      build({ x }, { a }) {
        exp(mul(x, a)); // not used
        const [, at] = [max(x), neg(x)];
        return { outputs: { at } };
      },
    });
    expect(step.plan.steps.map(({ op }) => op)).toEqual(['neg']);
    await step.close();
  });

  it('equal literals share one constant, and 0 is not -0', async () => {
    const step = await compile(backend, {
      inputs: { x: f32(2) },
      build: ({ x }) => ({ outputs: { y: add(mul(x, 3), mul(x, 3)), z: add(mul(x, 0), mul(x, -0)) } }),
    });
    expect(step.plan.constants.size).toBe(3);
    const { z } = await step.run({ x: Float32Array.of(1, -1) });
    expect([...z.data]).toEqual([0, 0]);
    await step.close();
  });

  it('long chains are planned without recursion', async () => {
    const step = await compile(backend, {
      inputs: { x: f32() },
      build({ x }) {
        let y: Tensor = x;
        for (let i = 0; i < 20_000; i++) y = add(y, 1);
        return { outputs: { y } };
      },
    });
    expect((await step.run({ x: 1 }))['y'].data[0]).toBe(20_001);
    expect(scratch(step.plan)).toEqual({ count: 1, bytes: 4 });
    await step.close();
  });
});

describe('a plan prints itself', () => {
  it('with types, places, cost and totals', async () => {
    const step = await compile(backend, {
      inputs: { x: u8(4, 3), y: i32(4) },
      hyper: ['lr'],
      state: {
        w: { shape: [3, 2], dtype: 'f32', data: new Float32Array(6) },
        seen: { shape: [], dtype: 'f32', data: new Float32Array(1) },
      },
      build({ x, y, hyper }, { w, seen }) {
        const h = withPath('input', () => mul(sub(cast(x), 128), 1 / 64));
        const logits = withPath('fc', () => matmul(h, w));
        const loss = crossEntropy(logits, y);
        const [g] = grad(loss, [w]);
        return { outputs: { loss }, next: { w: sub(w, mul(g, hyper['lr'])), seen: add(seen, 4) } };
      },
    });
    expect(step.plan.toString()).toMatchInlineSnapshot(`
      "inputs   x: u8 [4,3]@feed:x, y: i32 [4]@feed:y, lr: f32 []@feed:lr
         0  f32 [4,3]@b9 = cast(u8 [4,3]@feed:x) dtype="f32"  (input)
         1  f32 [4,3]@b9 = sub(f32 [4,3]@b9, f32 []@b5)  (input)  0.000 MFLOP
         2  f32 [4,3]@b9 = mul(f32 [4,3]@b9, f32 []@b6)  (input)  0.000 MFLOP
         3  f32 [4,2]@b10 = matmul(f32 [4,3]@b9, f32 [3,2]@state:w) transA=false transB=false  (fc)  0.000 MFLOP
         4  f32 [4]@b11, f32 [4,2]@b12 = softmaxCrossEntropy(f32 [4,2]@b10, i32 [4]@feed:y)  0.000 MFLOP
         5  f32 [1,1]@b13 = sum(f32 [1,4,1]@b11)  0.000 MFLOP
         6  f32 []@b13 = div(f32 []@b13, f32 []@b7)  0.000 MFLOP
         7  f32 []@b11 = div(f32 []@b8, f32 []@b7)  0.000 MFLOP
         8  f32 [1,4,1]@b10 = broadcastTo(f32 [1,1,1]@b11) shape=[1,4,1]
         9  f32 [4,2]@b14 = softmaxCrossEntropyGrad(f32 [4]@b10, f32 [4,2]@b12, i32 [4]@feed:y)
        10  f32 [3,2]@b12 = matmul(f32 [4,3]@b9, f32 [4,2]@b14) transA=true transB=false  (fc)  0.000 MFLOP
        11  f32 [3,2]@b12 = mul(f32 [3,2]@b12, f32 []@feed:lr)  0.000 MFLOP
      -- state is written from here on --
        12  f32 [3,2]@state:w = sub(f32 [3,2]@state:w, f32 [3,2]@b12)  0.000 MFLOP
        13  f32 []@state:seen = add(f32 []@state:seen, f32 []@b7)  0.000 MFLOP
      outputs  loss: f32 []@b13
      next     w, seen
      total    14 steps, 0.000 MFLOP, 0.00 MiB scratch (6 buffers), 0.00 MiB state, 0.00 MiB constant"
    `);
    await step.close();
  });
});
