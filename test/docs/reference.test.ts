// The API reference is complete: functions have docstrings with examples, and options are described. What is missing only gets less;
// `node docs/reference/undocumented.js` lists it.
import { expect, it } from 'vitest';
import { layOut } from '../../docs/reference/docstrings.js';
import { count, findGaps } from '../../docs/reference/undocumented.js';

/** What is missing, for all entries together. The aim is zero: lower a number when you close a gap. */
const MISSING = { docstring: 1, example: 26, option: 25 };

const missing = count(findGaps());

it.each(['docstring', 'example', 'option'] as const)('has no new gap: %s', (lacks) => {
  expect(missing[lacks]).toBeLessThanOrEqual(MISSING[lacks]);
});

it('keeps formulas as they are written, and begins paragraphs at labels', () => {
  const docstring = [
    'A rate.',
    '',
    '  lr(t) = base',
    '  t ≥ 0',
    'Throws RangeError for',
    'a base below 0.',
    'Source: a paper.',
  ];
  expect(layOut(docstring.join('\n')).split('\n')).toEqual([
    'A rate.',
    '',
    '',
    '```text',
    'lr(t) = base',
    't ≥ 0',
    '```',
    '',
    '',
    '**Throws** RangeError for',
    'a base below 0.',
    '',
    '**Source:** a paper.',
  ]);
});
