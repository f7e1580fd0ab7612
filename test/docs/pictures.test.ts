// Pictures in pages of the site: style.css gives every neutral color that the drawing code uses a color of the page's theme.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { curveSvg } from 'cyclegrad';
import { PALETTE } from '../../engine/train/listeners/curve.ts';
import { ROOT } from './pages.ts';

const style = readFileSync(`${ROOT}docs/.vitepress/theme/style.css`, 'utf8');

it('has a rule for each color that is no color of a series', () => {
  const points = [[0, 1] as const, [1, 2] as const];
  const svg = curveSvg(
    [
      { label: 'line', points },
      { label: 'marker', points, marker: 'circle', color: '#000000', side: 'right' },
      { label: 'end', points, panel: 1 },
    ],
    {
      panels: [
        { left: { label: 'left' }, right: { label: 'right' } },
        { left: { label: 'y' }, labels: 'ends' },
      ],
      title: 'title',
      subtitle: 'subtitle',
    },
  );
  const colors = new Set(svg.replace(/<style>.*<\/style>/, '').match(/(?:fill|stroke)="#[0-9a-f]{6}"/g));
  const neutral = [...colors].filter(
    (color) => color.includes('#000000') || !PALETTE.some((one) => color.includes(one)),
  );
  expect(neutral.filter((color) => !style.includes(`[${color.replaceAll('"', "'")}]`))).toEqual([]);
});

it('has a brighter color for each color of a series on a dark page', () => {
  const rules = PALETTE.flatMap((color) => [
    `.dark .picture [fill='${color}']`,
    `.dark .picture [stroke='${color}']`,
  ]);
  expect(rules.filter((rule) => !style.includes(rule))).toEqual([]);
});
