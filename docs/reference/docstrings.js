/** Docstrings as Markdown. Their lines carry meaning that Markdown would join into one paragraph. */

/** Begins a paragraph of its own: `Throws RangeError for …`, `Shapes: …`, `Source: …`. */
const LABELED = /^(Throws(?= )|(Shapes|Source|Units|Inputs|Results|Order|Limits):)/;

/**
 * Keeps formulas, which are indented, as they are written, and begins a paragraph at each labeled line.
 *
 * @param {string} text
 * @returns {string}
 */
export function layOut(text) {
  /** @type {string[]} */
  const out = [];
  let inFormula = false;
  for (const line of text.split('\n')) {
    const formula = /^ {2,}\S/.test(line);
    if (formula !== inFormula) {
      out.push(...(formula ? ['', '```text'] : ['```', '']));
      inFormula = formula;
    }
    if (!formula && LABELED.test(line)) out.push('', line.replace(LABELED, '**$1**'));
    else out.push(formula ? line.slice(2) : line);
  }
  if (inFormula) out.push('```');
  return out.join('\n');
}

/**
 * The first paragraph.
 *
 * @param {string} text
 * @returns {string}
 */
export const firstParagraph = (text) => text.trim().split(/\n\s*\n/)[0];
