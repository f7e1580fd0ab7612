/** A metric or a loss of one of several outputs and targets. */
import { ShapeError } from '../errors.ts';
import { listTensors, type Named } from '../named.ts';
import { checkOptions, show } from '../options.ts';
import { knownNames } from '../suggest.ts';
import { Tensor } from '../tensor.ts';
import type { MetricFunction } from '../train/objective.ts';
import { isAccumulator, type Accumulator } from './accumulator.ts';

type Tensors = Named<Tensor>;

export interface OnTargetOptions {
  /** The name of the output. Default: the name of the target. */
  readonly output?: string;
}

/**
 * A metric or a loss of one target and its output, for models with several outputs and data sets with several targets. The single output
 * of a model, or the single target of a data set, needs no name.
 *
 * Throws TypeError for anything but the name of a target, a metric and known options. Throws ShapeError, when it is applied, for a name
 * that does not exist.
 *
 * @example
 * await evaluate({ model, state, data: test, backend, metrics: { kind: onTarget('kind', f1()) } });
 */
export function onTarget(
  target: string,
  metric: Accumulator,
  options?: OnTargetOptions,
): Accumulator<Tensors, Tensors>;
export function onTarget(
  target: string,
  metric: MetricFunction,
  options?: OnTargetOptions,
): MetricFunction<Tensors, Tensors>;
export function onTarget(
  target: string,
  metric: MetricFunction | Accumulator,
  options: OnTargetOptions = {},
): MetricFunction<Tensors, Tensors> | Accumulator<Tensors, Tensors> {
  const where = 'onTarget';
  checkOptions(where, options, ['output']);
  const { output = target } = options;
  for (const [name, value] of Object.entries({ target, output })) {
    if (typeof value === 'string' && value !== '') continue;
    throw new TypeError(
      `${where}: ${name} must be a name, got ${show(value)} (write onTarget('kind', f1()))`,
    );
  }
  const choose = (outputs: Tensors, targets: Tensors): [Tensor, Tensor] => [
    chosen('output', output, outputs),
    chosen('target', target, targets),
  ];
  if (isAccumulator(metric)) {
    return { kind: metric.kind, measure: (...given) => metric.measure(...choose(...given)) };
  }
  if (typeof metric === 'function') {
    return (outputs, targets, reduction) => metric(...choose(outputs, targets), reduction);
  }
  throw new TypeError(
    `${where}: the second argument must be a metric or a loss, for instance f1() or accuracy, got ${show(metric)}`,
  );
}

/** The tensor with the name. A single tensor has none. */
function chosen(which: 'output' | 'target', name: string, tensors: Tensors): Tensor {
  if (tensors instanceof Tensor) return tensors;
  if (Object.hasOwn(tensors, name)) return tensors[name];
  throw new ShapeError(
    `onTarget: there is no ${which} called '${name}' (${knownNames(name, Object.keys(tensors))})`,
  );
}

/** Throws ShapeError unless an accumulator gets one output and one target. */
export function checkSingle(kind: string, output: Tensors, target: Tensors): void {
  if (output instanceof Tensor && target instanceof Tensor) return;
  throw new ShapeError(
    `${kind}: takes one output and one target but got ${listTensors('output', output)} and ${listTensors('target', target)} ` +
      `(choose them: onTarget('${Object.keys(target instanceof Tensor ? output : target)[0]}', ${kind}(…)))`,
  );
}
