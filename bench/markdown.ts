/** Markdown in the style of the formatter. */

/** A table with the first column aligned left and the others right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => row[i].length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Replaces the text between `<!-- name -->` and `<!-- /name -->`. Throws Error if these marks are missing. */
export function replaceBetween(document: string, name: string, content: string): string {
  const open = `<!-- ${name} -->`;
  const close = `<!-- /${name} -->`;
  const begin = document.indexOf(open);
  const end = document.indexOf(close);
  if (begin < 0 || end < begin) {
    throw new Error(
      `the document has no ${open} followed by ${close} (add both where the generated text belongs)`,
    );
  }
  return `${document.slice(0, begin + open.length)}\n\n${content}\n\n${document.slice(end)}`;
}
