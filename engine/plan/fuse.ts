/**
 * Fusion: neighbouring steps that a backend computes in one pass over memory become one step. It runs after
 * differentiation and before buffers are assigned, so users and `grad` see primitives only. A backend names the fusions it
 * has kernels for; a plan without them computes the same (sums may round differently).
 */
import type { Attrs } from '../op.ts';
import type { AttrsOf } from '../ops/index.ts';
import { sameShape } from '../shape.ts';
import type { Values } from './build.ts';
import { chain } from './chain.ts';
import type { Step } from './plan.ts';

/**
 * Steps that stand for several.
 *
 * - elementwise: a chain of operations on each element (see chain.ts)
 * - conv2dBias: x, w, bias [O] -> conv2d(x, w) + bias; attribute `relu` for the relu of that
 * - conv2dGradWeightBias: x, g -> weight gradient, and the sum of g over all but its last axis [1, O]
 * - batchNormAct: what batchNorm takes, and where attribute `residual` is set something of its result's shape to add -> what
 *   batchNorm gives, with the sum in place of the first; attribute `relu` for the relu of that
 * - batchNormActGrad: g, x, mean, variance and, where the forward pass had them, gamma and beta -> what batchNormGrad gives for g where
 *   the relu after the normalisation passed, and 0 elsewhere
 * - maxPool2dRelu: x -> relu of the maxima, and their positions
 * - maxPool2dReluGrad: g, relu of the maxima, positions -> input gradient
 * - maxPool2dTaps: x -> the maxima, and the tap of its window that won each (u8, row by row); with attribute `relu`, the relu of
 *   the maxima, and 255 in the place of a tap where it stopped them
 * - maxPool2dTapsGrad: g, taps -> input gradient, with relu's where the taps know of it
 * - conv2dMaxPool: what conv2dBias takes -> what maxPool2dTaps gives for its result; attribute `pool` for the pool's, `relu`
 *   for the relu of the maxima
 * - conv2dMaxPoolGradWeight: x, g, taps -> what conv2dGradWeight or conv2dGradWeightBias gives for what maxPool2dTapsGrad makes
 *   of g; attribute `pool` for the pool's
 * - avgPool2dReluGrad: g, result of relu -> input gradient of the average pool where relu passed, else 0
 */
export type FusedName =
  | 'elementwise'
  | 'conv2dBias'
  | 'conv2dGradWeightBias'
  | 'batchNormAct'
  | 'batchNormActGrad'
  | 'maxPool2dRelu'
  | 'maxPool2dReluGrad'
  | 'maxPool2dTaps'
  | 'maxPool2dTapsGrad'
  | 'conv2dMaxPool'
  | 'conv2dMaxPoolGradWeight'
  | 'avgPool2dReluGrad';

/** In the place of a tap: none, since relu stopped the maximum. */
const NO_TAP = 255;

/** Fuses what it can: chains anywhere, the rest among the steps before `commitStep`. `kept` are the roots of values read from outside the steps. */
export function fuse(
  steps: readonly Step[],
  commitStep: number,
  values: Values,
  kept: ReadonlySet<number>,
  fusions: ReadonlySet<FusedName>,
): { readonly steps: readonly Step[]; readonly commitStep: number } {
  if (fusions.size === 0) return { steps, commitStep };
  const fuser = new Fuser(steps.slice(0, commitStep), steps.slice(commitStep), values, kept, fusions);
  const early = fuser.run();
  const fused = { steps: [...early, ...steps.slice(commitStep)], commitStep: early.length };
  return fusions.has('elementwise') ? chain(fused.steps, fused.commitStep, values, kept) : fused;
}

class Fuser {
  readonly #steps: (Step | null)[];
  readonly #values: Values;
  readonly #fusions: ReadonlySet<FusedName>;
  /** Position of the step that makes a root, and those that read it; Infinity stands for reads after the early steps. */
  readonly #maker = new Map<number, number>();
  readonly #readers = new Map<number, number[]>();

  constructor(
    early: readonly Step[],
    late: readonly Step[],
    values: Values,
    kept: ReadonlySet<number>,
    fusions: ReadonlySet<FusedName>,
  ) {
    this.#steps = [...early];
    this.#values = values;
    this.#fusions = fusions;
    for (const root of kept) this.#read(root, Infinity);
    for (const step of late) for (const v of step.inputs) this.#read(this.#root(v), Infinity);
    early.forEach((_, i) => this.#index(i));
  }

  run(): Step[] {
    this.#sweep({
      add: (i) => {
        this.#bias(i);
        this.#residual(i);
      },
      relu: (i) => this.#relu(i),
      reluGrad: (i) => this.#reluGrad(i),
      maxPool2dGrad: (i) => this.#reluGrad(i),
      batchNormGrad: (i) => this.#normalisedReluGrad(i),
      sum: (i) => this.#biasGrad(i),
      conv2dGradWeight: (i) => this.#biasGrad(i),
    });
    // Around a max pool, forward and backward change together, so what they are made of comes first.
    this.#sweep({
      maxPool2d: (i) => this.#taps(i),
      maxPool2dRelu: (i) => this.#taps(i),
      conv2dGradWeight: (i) => this.#pooledGrad(i),
      conv2dGradWeightBias: (i) => this.#pooledGrad(i),
    });
    return this.#steps.filter((step) => step !== null);
  }

  /** Positions only grow as steps are moved down to their last part, so a sweep reaches every one of its patterns. */
  #sweep(patterns: Partial<Record<Step['op'], (i: number) => void>>): void {
    this.#steps.forEach((step, i) => {
      if (step !== null) patterns[step.op]?.(i);
    });
  }

  /** conv2d, then add of one value a filter. */
  #bias(i: number): void {
    const add = this.#steps[i]!;
    for (const [value, bias] of [
      [add.inputs[0], add.inputs[1]],
      [add.inputs[1], add.inputs[0]],
    ]) {
      const made = this.#onlyFor(value, i);
      const conv = made === null ? null : this.#steps[made];
      if (made === null || conv?.op !== 'conv2d') continue;
      const out = this.#values.types[add.outputs[0]].shape;
      const filters = out[out.length - 1];
      if (
        !sameShape(this.#values.types[bias].shape, [filters]) ||
        !sameShape(this.#values.types[value].shape, out)
      )
        continue;
      this.#replace([made, i], 'conv2dBias', [...conv.inputs, bias], add.outputs, {
        ...conv.attrs,
        relu: false,
      });
      return;
    }
  }

  /** batchNorm, then add of something of its shape that is there before. Of two normalised operands, the later takes the other. */
  #residual(i: number): void {
    const add = this.#steps[i];
    if (add?.op !== 'add') return;
    const makers = add.inputs.map((v) => this.#normalisedFor(v, i) ?? -1);
    const made = Math.max(...makers);
    const norm = this.#steps[made];
    if (norm?.op !== 'batchNorm') return;
    const own = makers.indexOf(made);
    const other = add.inputs[1 - own];
    const shapes = [add.inputs[own], other].map((v) => this.#values.types[v].shape);
    if (!sameShape(shapes[0], shapes[1]) || (this.#maker.get(this.#root(other)) ?? -1) > made) return;
    const outputs = [add.outputs[0], ...norm.outputs.slice(1)];
    const attrs = { ...norm.attrs, residual: true, relu: false };
    this.#replace([made, i], 'batchNormAct', [...norm.inputs, other], outputs, attrs, made);
  }

  /** The normalisation whose first result is `v`, if step i alone reads it. */
  #normalisedFor(v: number, i: number): number | null {
    const made = this.#onlyFor(v, i);
    const step = made === null ? null : this.#steps[made];
    if (step?.op !== 'batchNorm' && step?.op !== 'batchNormAct') return null;
    return this.#root(step.outputs[0]) === this.#root(v) ? made : null;
  }

  /** relu of a convolution with bias, of a normalisation, or of a max pool whose other result stays. */
  #relu(i: number): void {
    const relu = this.#steps[i]!;
    const made = this.#onlyFor(relu.inputs[0], i);
    const step = made === null ? null : this.#steps[made];
    if (made === null || step === null) return;
    if (step.op === 'conv2dBias') {
      this.#replace([made, i], 'conv2dBias', step.inputs, relu.outputs, { ...step.attrs, relu: true });
    } else if (this.#normalisedFor(relu.inputs[0], i) !== null && step.attrs['relu'] !== true) {
      const outputs = [relu.outputs[0], ...step.outputs.slice(1)];
      const attrs = { residual: false, ...step.attrs, relu: true };
      this.#replace([made, i], 'batchNormAct', step.inputs, outputs, attrs, made);
    } else if (step.op === 'maxPool2d' && this.#unreadUntil(step.outputs[1], i)) {
      this.#replace([made, i], 'maxPool2dRelu', step.inputs, [relu.outputs[0], step.outputs[1]], step.attrs);
    }
  }

  /** The derivative of relu before that of a max pool, or after that of an average pool. */
  #reluGrad(i: number): void {
    const step = this.#steps[i]!;
    const made = this.#onlyFor(step.inputs[0], i);
    const before = made === null ? null : this.#steps[made];
    if (made === null || before === null) return;
    if (step.op === 'maxPool2dGrad' && before.op === 'reluGrad') {
      const inputs = [...before.inputs, step.inputs[1]];
      this.#replace([made, i], 'maxPool2dReluGrad', inputs, step.outputs, step.attrs);
    } else if (step.op === 'reluGrad' && before.op === 'avgPool2dGrad') {
      const inputs = [before.inputs[0], step.inputs[1]];
      this.#replace([made, i], 'avgPool2dReluGrad', inputs, step.outputs, before.attrs);
    }
  }

  /** The derivative of relu before that of the normalisation that relu came after: where it passed follows from x. */
  #normalisedReluGrad(i: number): void {
    const { inputs, outputs, attrs } = this.#steps[i]!;
    const [g, x, mean, variance] = inputs;
    const made = this.#onlyFor(g, i);
    const before = made === null ? null : this.#steps[made];
    if (made === null || before?.op !== 'reluGrad' || !this.#sameShape(g, before.inputs[0])) return;
    const norm = this.#steps[this.#maker.get(this.#root(before.inputs[1])) ?? -1];
    if (norm?.op !== 'batchNormAct' || norm.attrs['relu'] !== true || norm.attrs['residual'] === true) return;
    const same = [norm.inputs[0], norm.outputs[1], norm.outputs[2], norm.inputs[1]].every((v, k) => {
      const own = [x, mean, variance, inputs[4]][k];
      return v === undefined ? own === undefined : own !== undefined && this.#root(v) === this.#root(own);
    });
    const whole = this.#root(before.inputs[1]) === this.#root(norm.outputs[0]);
    if (!same || !whole || norm.attrs['epsilon'] !== attrs['epsilon']) return;
    const all = [before.inputs[0], x, mean, variance, ...norm.inputs.slice(1)];
    this.#replace([made, i], 'batchNormActGrad', all, outputs, attrs);
  }

  /** The weight gradient of a convolution and the sum of the same g over all but its last axis. */
  #biasGrad(i: number): void {
    const step = this.#steps[i]!;
    const g = step.op === 'sum' ? step.inputs[0] : step.inputs[1];
    const other = step.op === 'sum' ? 'conv2dGradWeight' : 'sum';
    for (const j of this.#readers.get(this.#root(g)) ?? []) {
      const partner = j < i ? this.#steps[j] : null;
      if (partner === null || partner.op !== other) continue;
      const [gradient, total] = step.op === 'sum' ? [partner, step] : [step, partner];
      if (this.#root(gradient.inputs[1]) !== this.#root(g)) continue;
      const shape = this.#values.types[total.inputs[0]].shape;
      const own = this.#values.types[gradient.inputs[1]].shape;
      if (shape[0] !== 1 || shape[2] !== own[3] || !this.#unreadUntil(partner.outputs[0], i)) continue;
      const outputs = [gradient.outputs[0], total.outputs[0]];
      this.#replace([j, i], 'conv2dGradWeightBias', gradient.inputs, outputs, gradient.attrs);
      return;
    }
  }

  /** A max pool whose positions only its own gradient reads. */
  #taps(i: number): void {
    const { op, attrs, inputs, outputs } = this.#steps[i]!;
    const [y, at] = outputs;
    const { kernel } = attrs as AttrsOf<'maxPool2d'>;
    const gradients = this.#readers.get(this.#root(at)) ?? [];
    const own = gradients.every((reader) => {
      const step = this.#steps[reader];
      if (op === 'maxPool2d') return step?.op === 'maxPool2dGrad';
      return step?.op === 'maxPool2dReluGrad' && this.#root(step.inputs[1]) === this.#root(y);
    });
    if (!own || kernel[0] * kernel[1] > NO_TAP || !this.#fusions.has('maxPool2dTaps')) return;
    const taps = this.#values.add({ shape: this.#values.types[at].shape, dtype: 'u8' });
    const relu = op === 'maxPool2dRelu';
    this.#replace([i], 'maxPool2dTaps', inputs, [y, taps], { ...attrs, relu });
    for (const reader of gradients) {
      const step = this.#steps[reader]!;
      this.#replace([reader], 'maxPool2dTapsGrad', [step.inputs[0], taps], step.outputs, step.attrs);
    }
    this.#pooled(i);
  }

  /** A convolution, then a max pool with taps: what lies between is read by nothing else. */
  #pooled(i: number): void {
    const pool = this.#steps[i]!;
    const [x] = pool.inputs;
    const made = this.#maker.get(this.#root(x));
    const conv = made === undefined ? null : this.#steps[made];
    if (made === undefined || conv?.op !== 'conv2dBias' || !this.#sameShape(conv.outputs[0], x)) return;
    // A relu before the pool is as good as one after it: where it stops the maximum, both give 0 and no gradient.
    const early = conv.attrs['relu'] === true;
    const stops = (this.#readers.get(this.#root(x)) ?? []).filter((reader) => reader !== i);
    const spreads = stops.map((stop) => {
      const step = this.#steps[stop];
      const spread = early && step?.op === 'reluGrad' ? this.#onlyFor(step.inputs[0], stop) : null;
      return spread !== null && this.#steps[spread]?.inputs[1] === pool.outputs[1] ? spread : null;
    });
    const gradients = this.#readers.get(this.#root(pool.outputs[1])) ?? [];
    if (spreads.includes(null) || (early && spreads.length < gradients.length)) return;
    stops.forEach((stop, k) => {
      const { inputs, attrs } = this.#steps[spreads[k]!]!;
      this.#replace([spreads[k]!, stop], 'maxPool2dTapsGrad', inputs, this.#steps[stop]!.outputs, attrs);
    });
    const attrs = { ...conv.attrs, relu: early || pool.attrs['relu'] === true, pool: pool.attrs };
    this.#replace([made, i], 'conv2dMaxPool', conv.inputs, pool.outputs, attrs);
  }

  /** The gradient of a max pool, only for the weight gradient of the convolution before it. */
  #pooledGrad(i: number): void {
    const { attrs, inputs, outputs } = this.#steps[i]!;
    const made = this.#onlyFor(inputs[1], i);
    const pool = made === null ? null : this.#steps[made];
    if (made === null || pool?.op !== 'maxPool2dTapsGrad' || !this.#sameShape(pool.outputs[0], inputs[1]))
      return;
    const all = [inputs[0], ...pool.inputs];
    this.#replace([made, i], 'conv2dMaxPoolGradWeight', all, outputs, { ...attrs, pool: pool.attrs });
  }

  #sameShape(v: number, w: number): boolean {
    return sameShape(this.#values.types[v].shape, this.#values.types[w].shape);
  }

  #root(v: number): number {
    return this.#values.rootOf[v];
  }

  #read(root: number, i: number): void {
    const readers = this.#readers.get(root);
    if (readers === undefined) this.#readers.set(root, [i]);
    else readers.push(i);
  }

  #index(i: number): void {
    const step = this.#steps[i]!;
    for (const v of step.outputs) this.#maker.set(this.#root(v), i);
    for (const v of step.inputs) this.#read(this.#root(v), i);
  }

  /** The step that makes `v`, if step i alone reads it. */
  #onlyFor(v: number, i: number): number | null {
    const made = this.#maker.get(this.#root(v));
    const readers = this.#readers.get(this.#root(v));
    return made !== undefined && readers?.length === 1 && readers[0] === i ? made : null;
  }

  /** Whether nothing reads `v` before step i, so that its maker may move there. */
  #unreadUntil(v: number, i: number): boolean {
    return (this.#readers.get(this.#root(v)) ?? []).every((reader) => reader > i);
  }

  /** Puts one step in the place of `parts`: at the last of them, where all inputs are there, unless they are before. */
  #replace(
    parts: readonly number[],
    op: FusedName,
    inputs: readonly number[],
    outputs: readonly number[],
    attrs: Attrs,
    at = Math.max(...parts),
  ): void {
    if (!this.#fusions.has(op)) return;
    const steps = parts.map((i) => this.#steps[i]!);
    for (const i of parts) {
      this.#steps[i] = null;
      for (const v of steps[parts.indexOf(i)].inputs) {
        const root = this.#root(v);
        this.#readers.set(
          root,
          (this.#readers.get(root) ?? []).filter((reader) => reader !== i),
        );
      }
    }
    const flops = steps.reduce((sum, step) => sum + step.flops, 0);
    const path = steps.find((step) => step.path !== '')?.path ?? '';
    this.#steps[at] = { op, attrs, inputs, outputs, flops, path };
    this.#index(at);
  }
}
