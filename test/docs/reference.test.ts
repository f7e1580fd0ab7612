// The API reference is complete: functions have docstrings with examples, and options are described.
// `node docs/reference/undocumented.js` lists what is missing.
import { expect, it } from 'vitest';
import { layOut } from '../../docs/reference/docstrings.js';
import { findGaps } from '../../docs/reference/undocumented.js';

it('has a docstring and an example for each function, and a description of each option', () => {
  expect(findGaps()).toEqual([]);
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
