/** Steps with who computes and who reads each value, which fusions look at and rewrite. */
import type { Attrs } from '../op.ts';
import { sameShape } from '../shape.ts';
import type { Shape, TensorType } from '../types.ts';
import { costOf, type AnyStep } from './step.ts';
import type { Values } from './values.ts';

/** One step in the place of others. */
export interface Rewrite {
  readonly op: string;
  readonly attrs: Attrs;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** The steps that it replaces, in order. */
  readonly parts: readonly AnyStep[];
  /** The part whose position it takes. Default: the last one, by which all inputs are computed. */
  readonly at?: AnyStep;
}

/** Values are compared by what they are aliases of: a reshaped value is computed and read like the value itself. */
export class StepGraph {
  readonly #values: Values;
  /** By position. A replaced step leaves a gap, so positions stay. */
  readonly #steps: (AnyStep | null)[];
  readonly #positions = new Map<AnyStep, number>();
  readonly #producers = new Map<number, AnyStep>();
  /** A step appears once for each time that it reads the value; null is a read from outside. */
  readonly #readers = new Map<number, (AnyStep | null)[]>();

  /** `readOutside` lists values that are read from outside the steps, as often as they are read. */
  constructor(steps: readonly AnyStep[], values: Values, readOutside: readonly number[]) {
    this.#values = values;
    this.#steps = [...steps];
    for (const v of readOutside) this.#addReader(v, null);
    steps.forEach((step, position) => this.#index(step, position));
  }

  /** The steps that remain. */
  get steps(): AnyStep[] {
    return this.#steps.filter((step) => step !== null);
  }

  /** Positions of steps, replaced ones included. */
  get length(): number {
    return this.#steps.length;
  }

  /** The step at a position; null where it was replaced. */
  at(position: number): AnyStep | null {
    return this.#steps[position];
  }

  /** The value that `v` is an alias of; `v` itself for others. */
  rootOf(v: number): number {
    return this.#values.rootOf[v];
  }

  typeOf(v: number): TensorType {
    return this.#values.types[v];
  }

  shapeOf(v: number): Shape {
    return this.typeOf(v).shape;
  }

  sameShape(v: number, w: number): boolean {
    return sameShape(this.shapeOf(v), this.shapeOf(w));
  }

  sameValue(v: number, w: number): boolean {
    return this.rootOf(v) === this.rootOf(w);
  }

  addValue(type: TensorType): number {
    return this.#values.add(type);
  }

  /** The step that computes `v`; null for inputs and constants. */
  producerOf(v: number): AnyStep | null {
    return this.#producers.get(this.rootOf(v)) ?? null;
  }

  /** The steps that read `v`; null for a read from outside. */
  readersOf(v: number): readonly (AnyStep | null)[] {
    return this.#readers.get(this.rootOf(v)) ?? [];
  }

  /** The step that computes `v`, if `reader` alone reads it, once. */
  producerFor(reader: AnyStep, v: number): AnyStep | null {
    const readers = this.readersOf(v);
    return readers.length === 1 && readers[0] === reader ? this.producerOf(v) : null;
  }

  isBefore(step: AnyStep, other: AnyStep): boolean {
    return this.#positionOf(step) < this.#positionOf(other);
  }

  /** Whether `v` is read only after `step`, so that its producer may move to the position of `step`. */
  isReadOnlyAfter(step: AnyStep, v: number): boolean {
    return this.readersOf(v).every((reader) => reader === null || this.isBefore(step, reader));
  }

  replace({ op, attrs, inputs, outputs, parts, at }: Rewrite): void {
    const position =
      at === undefined ? Math.max(...parts.map((part) => this.#positionOf(part))) : this.#positionOf(at);
    for (const part of parts) {
      this.#steps[this.#positionOf(part)] = null;
      for (const v of part.outputs) this.#producers.delete(this.rootOf(v));
      for (const v of part.inputs) {
        const others = this.readersOf(v).filter((reader) => reader !== part);
        this.#readers.set(this.rootOf(v), others);
      }
    }
    const step: AnyStep = { op, attrs, inputs, outputs, ...costOf(parts) };
    this.#steps[position] = step;
    this.#index(step, position);
  }

  #positionOf(step: AnyStep): number {
    return this.#positions.get(step)!;
  }

  #index(step: AnyStep, position: number): void {
    this.#positions.set(step, position);
    for (const v of step.outputs) this.#producers.set(this.rootOf(v), step);
    for (const v of step.inputs) this.#addReader(v, step);
  }

  #addReader(v: number, reader: AnyStep | null): void {
    const readers = this.#readers.get(this.rootOf(v));
    if (readers === undefined) this.#readers.set(this.rootOf(v), [reader]);
    else readers.push(reader);
  }
}
