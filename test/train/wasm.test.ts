import { afterAll, assert, describe, expect, test } from 'vitest';
import { availableCores } from '../../engine/backends/wasm/cores.ts';
import { fit, latestCheckpoint, loadCheckpoint, train, wasm, type Backend, type StartEvent } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, meanImage, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';
import { isFused } from '../../engine/backends/wasm/simd.ts';
import { bytes, eventsOf, folder, held, tinyRun } from './fixture.ts';

const backend = await wasm({ threads: 2 });
afterAll(() => backend.close());

describe('training on the CPU backend', () => {
  test('memorises 64 images under a cyclical rate', async () => {
    const data = synthetic({ kind: 'images', n: 64, classes: 4, height: 16 });
    const model = nn.sequential({
      input: nn.normalize(meanImage(data), { std: 64 }),
      conv1: nn.conv2d(3, 8, 3, { padding: 'same' }),
      pool1: nn.maxPool2d(3, 2, { ceil: true }),
      relu1: nn.relu(),
      norm1: nn.lrn({ size: 3, alpha: 5e-5, beta: 0.75 }),
      conv2: nn.conv2d(8, 16, 3, { padding: 'same' }),
      relu2: nn.relu(),
      pool2: nn.maxPool2d(2),
      flat: nn.flatten(),
      fc: nn.dense(256, 4),
    });
    const lr = cyclicLR({ base: 0.005, max: 0.03, stepSize: 50 });
    const { accuracy } = await fit({
      model,
      backend,
      steps: 300,
      data: loader(data, { batchSize: 16, augment: { crop: 1 } }),
      eval: { data, every: 100 },
      optimizer: sgd({ lr, momentum: 0.9, weightDecay: 1e-4, form: 'caffe' }),
    });
    expect(accuracy).toBe(1);
  });

  test('far more threads than cores are a notice with the number that would do', async () => {
    const cores = await availableCores();
    const noticesOf = async (threads: number) => {
      const backend = await wasm({ threads });
      const { events } = await eventsOf(tinyRun({ backend, steps: 1 }));
      await backend.close();
      return events.flatMap((event) =>
        event.type === 'notice' && event.code === 'many-threads' ? event.message : [],
      );
    };
    const available = cores === 1 ? 'only 1 CPU is available' : `only ${cores} CPUs are available`;
    expect(await noticesOf(4 * cores)).toEqual([]);
    expect(await noticesOf(4 * cores + 1)).toEqual([
      `${4 * cores + 1} threads compute, but ${available}: steps take longer than with threads: ${cores}`,
    ]);
  });

  test('the same bytes again, resident or fed, with one thread or two, stopped and resumed', async () => {
    const evaluation = { data: held, every: 5, batchSize: 4 };
    const { state, report } = await fit(tinyRun({ backend, eval: evaluation }));
    expect(report).toMatchObject({ backend: 'wasm', fallback: null });
    const expected = bytes(state);
    expect(bytes((await fit(tinyRun({ backend, resident: false }))).state)).toEqual(expected);

    const one = await wasm({ threads: 1 });
    expect(bytes((await fit(tinyRun({ backend: one }))).state)).toEqual(expected);
    await one.close();

    const dir = folder();
    const options = tinyRun({ backend, checkpoint: { dir, every: 100, resume: true } });
    for await (const event of train(options)) if (event.type === 'step' && event.step === 5) break;
    await fit(options);
    expect(bytes((await loadCheckpoint((await latestCheckpoint(dir))!)).state)).toEqual(expected);
  });

  test('resuming with vectors of another width gives the same bytes, without fused multiply-add a notice', async () => {
    const kinds = ['relaxed', 'wide', 'plain'] as const;
    const [relaxed, wide, plain] = await Promise.all(kinds.map((simd) => wasm({ simd, threads: 2 })));
    const expected = bytes((await fit(tinyRun({ backend: relaxed }))).state);
    const stopAndGoOn = async (then: typeof wide) => {
      const dir = folder();
      const checkpoint = { dir, every: 5, resume: true };
      for await (const event of train(tinyRun({ backend: relaxed, checkpoint }))) {
        if (event.type === 'step' && event.step === 5) break;
      }
      const { events } = await eventsOf(tinyRun({ backend: then, checkpoint }));
      const { state } = await loadCheckpoint((await latestCheckpoint(dir))!);
      const codes = events.flatMap((event) => (event.type === 'notice' ? [event.code] : []));
      return { state: bytes(state), codes };
    };
    expect(await stopAndGoOn(wide)).toEqual({ state: expected, codes: [] });
    expect((await stopAndGoOn(plain)).codes).toEqual(['backend-changed']);
    await Promise.all([relaxed, wide, plain].map((one) => one.close()));
  });

  test.runIf(isFused())(
    'relaxed SIMD that is not fused says so, and resuming with it is a notice',
    async () => {
      const fused = await wasm({ simd: 'relaxed', threads: 1 });
      // An engine that rounds the product, as JavaScriptCore does on x64: the probe is the only module that exports f.
      class Instance {
        exports: object;
        constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
          const { exports } = new Original(module, imports);
          this.exports =
            'f' in exports ? { f: (a: number, b: number, c: number) => Math.fround(a * b) + c } : exports;
        }
      }
      const Original = WebAssembly.Instance;
      WebAssembly.Instance = Instance as never;
      const [relaxed, wide, plain] = await Promise.all(
        (['relaxed', 'wide', 'plain'] as const).map((simd) => wasm({ simd, threads: 1 })),
      ).finally(() => (WebAssembly.Instance = Original));
      const dir = folder();
      const noticesOf = async (backend: Backend, steps: number): Promise<readonly string[]> => {
        const { events } = await eventsOf(
          tinyRun({ backend, steps, checkpoint: { dir, every: 1, resume: true } }),
        );
        const start = events[0] as StartEvent;
        assert(start.report.backend === 'wasm');
        reports.push([start.report.simd, start.report.fused]);
        return events.flatMap((event) =>
          event.type === 'notice' && event.code === 'backend-changed' ? [event.message] : [],
        );
      };
      const reports: unknown[] = [];
      expect(await noticesOf(fused, 1)).toEqual([]);
      const rest = 'the last bits may differ from an uninterrupted run';
      expect(await noticesOf(relaxed, 2)).toEqual([
        `resuming with wasm (relaxed, not fused) after wasm (relaxed): ${rest}`,
      ]);
      expect(await noticesOf(wide, 3)).toEqual([]);
      expect(await noticesOf(plain, 4)).toEqual([
        `resuming with wasm (plain) after wasm (wide, not fused): ${rest}`,
      ]);
      expect(reports).toEqual([
        ['relaxed', true],
        ['relaxed', false],
        ['wide', false],
        ['plain', false],
      ]);
      await Promise.all([fused, relaxed, wide, plain].map((one) => one.close()));
    },
  );

  test('agrees with the reference backend over ten steps', async () => {
    const [a, b] = [await fit(tinyRun({ backend })), await fit(tinyRun())];
    expect(a.loss).toBeCloseTo(b.loss!, 2);
  });

  test("the paper's network starts at log 10 and stays finite", async () => {
    const data = synthetic({ kind: 'images', n: 40 });
    const losses: number[] = [];
    await fit({
      model: nn.caffeFull({ mean: meanImage(data) }),
      backend,
      steps: 12,
      data: loader(data, { batchSize: 20, shuffle: false }),
      optimizer: sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' }),
      listeners: [(event) => void (event.type === 'step' && losses.push(event.loss))],
    });
    expect(losses[0]).toBeCloseTo(Math.log(10), 2);
    expect(losses.every(Number.isFinite)).toBe(true);
  });

  test('a loss that is not finite is explained here too', async () => {
    const { error } = await eventsOf(tinyRun({ backend, optimizer: sgd({ lr: 1e30 }) }));
    expect(String(error)).toMatch(
      /train: the loss is not finite at step 1 \(lr 1e\+30\): first bad tensor: the output of fc is not finite/,
    );
  });
});
