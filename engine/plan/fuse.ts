/**
 * Fusion: neighbouring steps that a backend computes in one pass over memory become one step. It runs after
 * differentiation and before buffers are assigned, so users and `grad` see primitives only. A backend names the fusions it
 * has kernels for; a plan without them computes the same (sums may round differently).
 */
import type { Attrs } from '../op.ts';
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
 * - maxPool2dRelu: x -> relu of the maxima, and their positions
 * - maxPool2dReluGrad: g, relu of the maxima, positions -> input gradient
 * - avgPool2dReluGrad: g, result of relu -> input gradient of the average pool where relu passed, else 0
 */
export type FusedName =
  | 'elementwise'
  | 'conv2dBias'
  | 'conv2dGradWeightBias'
  | 'batchNormAct'
  | 'maxPool2dRelu'
  | 'maxPool2dReluGrad'
  | 'avgPool2dReluGrad';

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
    // Positions only grow as steps are moved down to their last part, so one sweep reaches every pattern.
    const patterns: Partial<Record<Step['op'], (i: number) => void>> = {
      add: (i) => {
        this.#bias(i);
        this.#residual(i);
      },
      relu: (i) => this.#relu(i),
      reluGrad: (i) => this.#reluGrad(i),
      maxPool2dGrad: (i) => this.#reluGrad(i),
      sum: (i) => this.#biasGrad(i),
      conv2dGradWeight: (i) => this.#biasGrad(i),
    };
    this.#steps.forEach((step, i) => {
      if (step !== null) patterns[step.op]?.(i);
    });
    return this.#steps.filter((step) => step !== null);
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
