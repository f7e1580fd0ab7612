/** A confusion matrix as an HTML table. */
import { show } from '../../options.ts';
import { formatPercent } from './format.ts';
import { escape } from './markup.ts';

/** Labels in rows, predictions in columns. The color of a cell is its share of the row. */
export function confusionTable(
  where: string,
  matrix: readonly (readonly number[])[],
  classes: readonly string[],
): string {
  if (!Array.isArray(classes) || classes.some((name) => typeof name !== 'string')) {
    throw new TypeError(`${where}: classes must be an array of texts, got ${show(classes)}`);
  }
  const n = classes.length;
  const isRow = (row: unknown): boolean =>
    Array.isArray(row) && row.length === n && row.every((count) => typeof count === 'number');
  const given: unknown = matrix;
  if (!Array.isArray(given) || given.length !== n || !given.every(isRow)) {
    throw new TypeError(
      `${where}: the matrix must have ${n} rows of ${n} numbers for ${n} classes, got ${show(matrix)}`,
    );
  }
  const rows = classes.map((name, label) => {
    const row: readonly number[] = matrix[label];
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, predicted) => {
      const share = total === 0 ? 0 : count / total;
      const right = predicted === label ? ' class="right"' : '';
      return `<td${right} style="background: rgba(var(--hue), ${(share * 0.7).toFixed(3)})">${count === 0 ? '' : count}</td>`;
    });
    const recall = total === 0 ? '' : formatPercent(row[label] / total);
    return `<tr><th scope="row">${escape(name)}</th>${cells.join('')}<td>${recall}</td></tr>`;
  });
  const head = classes.map((name) => `<th scope="col">${escape(name)}</th>`).join('');
  return `<h2>Confusion matrix</h2>
<p class="quiet">Labels in rows, predictions in columns. The last column is the share of the label that was recognized.</p>
<div class="scroll"><table class="confusion"><tr><td></td>${head}<th scope="col">recall</th></tr>${rows.join('')}</table></div>`;
}
