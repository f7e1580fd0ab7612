/** Einstein summation, lowered to transpose, reshape and one matrix product for each pair of operands. */
import { ShapeError } from '../errors.ts';
import { formatType, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { mul } from './elementwise.ts';
import { broadcastTo, reshape, transpose } from './layout.ts';
import { matmul } from './matmul.ts';
import { sum } from './reduce.ts';
import { show } from '../options.ts';

/**
 * A tensor with one name for each axis: a letter, or '.0', '.1', … for the axes of an ellipsis, counted from the last.
 */
interface Named {
  readonly t: Tensor;
  readonly axes: readonly string[];
}

/**
 * Einstein summation: multiplies the operands and sums over every axis letter that the result does not name.
 *
 * Letters are a … z and A … Z. `...` stands for any number of axes, which broadcast. Without `->`, the result has the axes
 * of the ellipsis, then the letters that occur once, in alphabetical order. Operands are multiplied from left to right.
 *
 * Limits: a letter cannot occur twice in one operand (a diagonal) or in the result only, and an axis of size 1 does not
 * broadcast unless it belongs to an ellipsis.
 *
 * Shapes: operands `f32`, one axis for each letter -> the axes of the result.
 * Throws ShapeError if the equation is malformed, does not match the operands, or gives a letter two sizes.
 *
 * @example einsum('ij,jk->ik', [[1, 2], [3, 4]], [[5], [6]]) // [[17], [39]]
 * @example einsum('ij->j', [[1, 2], [3, 4]]) // [4, 6]
 */
export function einsum(equation: string, ...operands: readonly TensorLike[]): Tensor {
  if (typeof equation !== 'string') {
    throw new TypeError(`einsum: equation must be a text, for instance 'ij,jk->ik', got ${show(equation)}`);
  }
  const where = `einsum '${equation}'`;
  const [left = '', right, ...more] = equation.replaceAll(' ', '').split('->');
  const terms = left.split(',');
  if (more.length > 0) throw new ShapeError(`${where}: has more than one arrow`);
  if (terms.length !== operands.length) {
    throw new ShapeError(`${where}: names ${terms.length} operands but got ${operands.length} tensors`);
  }
  const named = terms.map((term, i) => name(where, term, toTensor(where, operands[i])));
  const sizes = new Map<string, number>();
  for (const { t, axes } of named) axes.forEach((axis, i) => addSize(where, sizes, axis, t.shape[i]));
  const wanted = right === undefined ? implied(named) : resultAxes(where, right, named);

  let rest = named.slice(1);
  let product = named[0];
  while (rest.length > 0) {
    const [next, ...later] = rest as [Named, ...Named[]];
    const needed = new Set([...wanted, ...later.flatMap(({ axes }) => axes)]);
    product = multiply(product, next, needed, sizes);
    rest = later;
  }
  return ordered(summed(product, new Set(wanted)), wanted, sizes);
}

/** The letters before and after an ellipsis; `after` is null without one. */
function parse(where: string, term: string): { readonly before: string[]; readonly after: string[] | null } {
  if (!/^[a-zA-Z]*(\.\.\.[a-zA-Z]*)?$/.test(term)) {
    throw new ShapeError(`${where}: '${term}' is not letters with at most one ellipsis (...)`);
  }
  const [before = '', after] = term.split('...');
  return { before: before.split(''), after: after === undefined ? null : after.split('') };
}

function name(where: string, term: string, t: Tensor): Named {
  const { before, after } = parse(where, term);
  const letters = [...before, ...(after ?? [])];
  const twice = letters.find((letter, i) => letters.indexOf(letter) !== i);
  if (twice !== undefined) {
    throw new ShapeError(
      `${where}: '${twice}' occurs twice in '${term}' (diagonals are not supported: multiply by an identity matrix)`,
    );
  }
  const free = t.rank - letters.length;
  if (free < 0 || (after === null && free > 0)) {
    throw new ShapeError(
      `${where}: '${term}' names ${letters.length} axes but the operand is ${formatType(t)}`,
    );
  }
  const ellipsis = Array.from({ length: after === null ? 0 : free }, (_, i) => `.${free - 1 - i}`);
  return { t, axes: [...before, ...ellipsis, ...(after ?? [])] };
}

function addSize(where: string, sizes: Map<string, number>, axis: string, size: number): void {
  const known = sizes.get(axis);
  const broadcasts = axis.startsWith('.') && (known === 1 || size === 1);
  if (known !== undefined && known !== size && !broadcasts) {
    const what = axis.startsWith('.') ? 'an axis of the ellipsis' : `'${axis}'`;
    throw new ShapeError(`${where}: ${what} has sizes ${known} and ${size} (they must be equal)`);
  }
  sizes.set(axis, known === undefined || known === 1 ? size : known);
}

const ellipsisOf = (named: readonly Named[]): string[] => {
  const axes = named.flatMap((operand) => operand.axes.filter((axis) => axis.startsWith('.')));
  return [...new Set(axes)].sort((a, b) => Number(b.slice(1)) - Number(a.slice(1)));
};

function implied(named: readonly Named[]): string[] {
  const letters = named.flatMap(({ axes }) => axes.filter((axis) => !axis.startsWith('.')));
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter));
  return [...ellipsisOf(named), ...once.sort()];
}

function resultAxes(where: string, right: string, named: readonly Named[]): string[] {
  const { before, after } = parse(where, right);
  const letters = [...before, ...(after ?? [])];
  const known = new Set(named.flatMap(({ axes }) => axes));
  const wrong = letters.find((letter, i) => !known.has(letter) || letters.indexOf(letter) !== i);
  if (wrong !== undefined) {
    throw new ShapeError(
      `${where}: the result '${right}' must name axes of the operands, each once, which is not so for '${wrong}'`,
    );
  }
  const ellipsis = ellipsisOf(named);
  if (after === null && ellipsis.length > 0) {
    throw new ShapeError(
      `${where}: the operands have an ellipsis but the result '${right}' has none (add ... to it)`,
    );
  }
  return [...before, ...ellipsis, ...(after ?? [])];
}

/** Sums over the axes that are no longer needed. */
function summed({ t, axes }: Named, needed: ReadonlySet<string>): Named {
  const over = axes.flatMap((axis, i) => (needed.has(axis) ? [] : [i]));
  return over.length === 0 ? { t, axes } : { t: sum(t, over), axes: axes.filter((axis) => needed.has(axis)) };
}

/** Transposes to the given order, and broadcasts the axes of an ellipsis to full size. */
function ordered({ t, axes }: Named, wanted: readonly string[], sizes: ReadonlyMap<string, number>): Tensor {
  const sorted = transpose(
    t,
    wanted.filter((axis) => axes.includes(axis)).map((axis) => axes.indexOf(axis)),
  );
  const shape = wanted.map((axis) => (axes.includes(axis) ? t.shape[axes.indexOf(axis)] : 1));
  return broadcastTo(
    reshape(sorted, shape),
    wanted.map((axis) => sizes.get(axis)!),
  );
}

/** The product of two operands, reduced to the needed axes: a batch of matrix products. */
function multiply(
  left: Named,
  right: Named,
  needed: ReadonlySet<string>,
  sizes: ReadonlyMap<string, number>,
): Named {
  const [a, b] = [
    summed(left, new Set([...needed, ...right.axes])),
    summed(right, new Set([...needed, ...left.axes])),
  ];
  const common = a.axes.filter((axis) => b.axes.includes(axis));
  const batch = common.filter((axis) => needed.has(axis));
  const inner = common.filter((axis) => !needed.has(axis));
  const rows = a.axes.filter((axis) => !common.includes(axis));
  const columns = b.axes.filter((axis) => !common.includes(axis));
  const size = (list: readonly string[]): number => sizeOf(list.map((axis) => sizes.get(axis)!));
  const axes = [...batch, ...rows, ...columns];
  const shape = axes.map((axis) => sizes.get(axis)!);
  const x = reshape(ordered(a, [...batch, ...rows, ...inner], sizes), [size(batch), size(rows), size(inner)]);
  const y = reshape(ordered(b, [...batch, ...inner, ...columns], sizes), [
    size(batch),
    size(inner),
    size(columns),
  ]);
  // There is nothing to sum over: multiply elements instead of matrices of one row.
  const t =
    inner.length === 0
      ? mul(reshape(x, [size(batch), size(rows), 1]), reshape(y, [size(batch), 1, size(columns)]))
      : matmul(x, y);
  return { t: reshape(t, shape), axes };
}
