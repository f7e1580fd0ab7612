// What users of other libraries complained about, each as a test that it cannot happen here.
import { describe, expect, it } from 'vitest';
import { evaluate, fit, lrRangeTest, reference, suggestBounds, type RangeCurve } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { adadelta, adagrad, adam, adamw, rmsprop, sgd } from 'cyclegrad/optim';
import {
  cosineWarmRestarts,
  cyclicLR,
  cyclicMomentum,
  notices,
  oneCycle,
  oneCycleMomentum,
  scheduleFromJSON,
} from 'cyclegrad/schedulers';

const clr = cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 });

/** Smoothed losses over rates that rise by equal factors. */
function curve(losses: readonly number[]): RangeCurve {
  const points = losses.map((smoothed, step) => ({
    step,
    lr: 1e-5 * 1.05 ** step,
    loss: smoothed,
    smoothed,
  }));
  return { seed: 0, points, evaluations: [], end: 'done' };
}

describe('complaints about other libraries', () => {
  it('1: test accuracy at chance while training goes well, by running statistics that start at 0 (super-convergence#2)', async () => {
    const backend = reference();
    const train = synthetic({ kind: 'blobs', n: 60, seed: 1 });
    const width = train.x.shape[0];
    const model = nn.sequential({
      flat: nn.flatten(),
      norm: nn.batchNorm(width, { form: 'caffe' }),
      fc: nn.dense(width, 10),
    });
    // The fraction is part of what a checkpoint and a report say about the model.
    expect(JSON.stringify(model.config)).toContain('"fraction":0.999');
    const optimizer = sgd({ lr: 0 });
    const data = loader(train, { batchSize: 60, shuffle: false });
    const { state, report: _, step } = await fit({ model, backend, steps: 1, data, optimizer });
    expect(step).toBe(1);
    // After one step of a whole-set batch, running statistics are the batch's: evaluation sees what training saw.
    const seen = await evaluate({ model, backend, state, data: train });
    const again = await fit({ model, backend, steps: 1, data, optimizer });
    expect(seen.loss).toBeCloseTo(again.loss!, 1);
    await backend.close();
  });

  it('2: a cyclical rate refuses Adam, or cycles a momentum that nobody asked for (pytorch#73910)', () => {
    for (const make of [adam, adamw, rmsprop, adagrad, adadelta, sgd]) {
      const optimizer = make({ lr: clr });
      expect(optimizer.at(2000)['lr']).toBeCloseTo(0.006, 12);
      for (const [name, schedule] of Object.entries(optimizer.schedules)) {
        expect(name === 'lr' || schedule.config.kind === 'constant').toBe(true);
      }
    }
    const momentum = cyclicMomentum({ base: 0.85, max: 0.95, stepSize: 2000 });
    expect(sgd({ lr: clr, momentum }).at(2000)['momentum']).toBeCloseTo(0.85, 12);
  });

  it('3: schedules cannot be saved (pytorch#88684)', () => {
    const text = JSON.stringify(clr.config);
    expect(scheduleFromJSON(JSON.parse(text) as never)(1234)).toBe(clr(1234));
  });

  it('4: resuming shifts the rate (pytorch#65342): it depends on the step alone, in any order of asking', () => {
    const steps = [9000, 0, 4001, 3999, 4000];
    const forwards = [...steps].sort((a, b) => a - b).map((step) => [step, clr(step)]);
    expect(steps.map((step) => [step, clr(step)]).sort((a, b) => a[0] - b[0])).toEqual(forwards);
  });

  it('5: one cycle dies near the end of a run whose steps were miscounted (pytorch#38170)', () => {
    const schedule = oneCycle({ max: 0.1, steps: 100 });
    expect(schedule(150)).toBe(schedule(99));
    expect(notices(schedule, 150).length).toBeGreaterThan(0);
  });

  it('6: phases of no width divide by zero (pytorch#180187)', () => {
    for (const steps of [1, 2, 3]) {
      for (const form of ['pytorch', 'pytorch-three-phase', 'smith'] as const) {
        for (const rise of [0, 0.3, 0.5]) {
          const rises = {
            pytorch: true,
            'pytorch-three-phase': rise * steps > 1.5,
            smith: steps > 1 && Math.round(rise * steps) > 0,
          };
          let outcome: string;
          try {
            const all = [
              oneCycle({ max: 0.1, steps, form, rise }),
              oneCycleMomentum({ steps, form, rise }),
            ].flatMap((schedule) => [0, 1, 2, 3].map(schedule));
            outcome = all.every(Number.isFinite) ? 'finite' : String(all);
          } catch (error) {
            outcome = (error as Error).name;
          }
          expect(outcome, `${steps} ${form} ${rise}`).toBe(rises[form] ? 'finite' : 'RangeError');
        }
      }
    }
  });

  it('6: a rise of at most one step starts at the maximum, where PyTorch starts below or divides by zero', () => {
    const first = [0.04, 0.05].map((rise) => oneCycle({ max: 1, steps: 20, rise })(0));
    expect(first).toEqual([1, 1]);
  });

  it('7: warm restarts begin with an extra step at a wrong rate (pytorch#23480)', () => {
    const schedule = cosineWarmRestarts({ max: 1, T0: 10, tMult: 2 });
    expect([0, 10, 30].map(schedule)).toEqual([1, 1, 1]);
    expect(schedule(5)).toBeCloseTo(0.5, 12);
    expect(schedule(9)).toBeLessThan(0.05);
  });

  it('8: the range test changes the training after it (fastai#3013)', async () => {
    const backend = reference();
    const model = nn.mlp([2, 4, 3]);
    const data = loader(synthetic({ kind: 'spirals', n: 60, seed: 1 }), { batchSize: 20 });
    const training = { model, backend, data, steps: 5, seed: 3, optimizer: sgd({ lr: 0.1 }) };
    const before = await fit(training);
    await lrRangeTest({
      model,
      backend,
      data,
      optimizer: (lr) => sgd({ lr }),
      from: 0,
      to: 1,
      steps: 10,
      seeds: [3],
    });
    expect((await fit(training)).state).toEqual(before.state);
    await backend.close();
  });

  it('9: the steepest point lies in the spike where training diverges, or in an early glitch (pytorch-lr-finder#86)', () => {
    const smooth = Array.from({ length: 200 }, (_, i) => 3 - 2 / (1 + Math.exp((100 - i) / 12)));
    const losses = smooth.map((loss, i) => (i === 2 ? loss + 2 : i > 194 ? loss + 5 * (i % 2) : loss));
    const { steepest, valley, minimum } = suggestBounds(curve(losses));
    expect(steepest.step).toBeGreaterThan(80);
    expect(steepest.step).toBeLessThan(120);
    expect(valley.step).toBeLessThan(195);
    expect(minimum.step).toBeLessThan(195);
    // A curve without a valley has no suggestion, and says why.
    const risen = suggestBounds(curve(smooth.toReversed()));
    expect(risen.steepest).toMatchObject({
      lr: null,
      why: expect.stringContaining('the loss does not fall'),
    });
  });

  it('10: the amplitude vanishes without a word (bckenstler/CLR#8)', () => {
    const short = cyclicLR({ base: 0.001, max: 0.006, stepSize: 100, mode: 'triangular2' });
    expect(notices(short, 20_000).map(({ code }) => code)).toContain('amplitude-vanished');
  });
});
