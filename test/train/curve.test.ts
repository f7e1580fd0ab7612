/** The listener curve. */
import { describe, expect, test } from 'vitest';
import { curveSvg, type CurveOptions } from 'cyclegrad';
import { points, tick, ticks, expectWellFormed } from './listener-fixture.ts';

describe('curveSvg', () => {
  const one: CurveOptions = { panels: [{ left: { label: 'learning rate' } }] };

  test('puts points where the ticks say', () => {
    const svg = curveSvg(
      [
        {
          label: 'lr',
          points: [
            [0, 0.002],
            [2000, 0.006],
            [4000, 0.002],
          ],
        },
        {
          label: 'acc',
          points: [
            [0, 0.1],
            [4000, 0.5],
          ],
          panel: 1,
        },
        {
          label: 'loss',
          points: [
            [0, 2],
            [4000, 1],
          ],
          panel: 1,
          side: 'right',
        },
      ],
      {
        panels: [
          { left: { label: 'learning rate', domain: [0, 0.006] } },
          {
            left: { label: 'accuracy', format: 'percent', domain: [0, 1] },
            right: { label: 'loss', domain: [0, 4] },
            weight: 2,
          },
        ],
      },
    );
    expectWellFormed(svg);
    const [a, b, c] = points(svg, 'lr');
    expect(a[0]).toBeCloseTo(tick(svg, 'x-tick', '0'), 1);
    expect(b[0]).toBeCloseTo(tick(svg, 'x-tick', '2,000'), 1);
    expect(c[0]).toBeCloseTo(tick(svg, 'x-tick', '4,000'), 1);
    expect(a[1]).toBeCloseTo(tick(svg, 'left-tick', '0.002'), 1);
    expect(b[1]).toBeCloseTo(tick(svg, 'left-tick', '0.006'), 1);
    expect(points(svg, 'acc')[1][1]).toBeCloseTo(
      (tick(svg, 'left-tick', '0%') + tick(svg, 'left-tick', '100%')) / 2,
      1,
    );
    expect(points(svg, 'loss')[0][1]).toBeCloseTo(points(svg, 'acc')[1][1], 1);
  });

  test.each([
    [[0.001, 0.006], '0.001', '0.006'],
    [[0, 0.00005], '0.00001', '0.00005'],
    [[0, 2e-6], '1e-6', '2e-6'],
    [[0, 3], '0', '3.0'],
    [[0, 25_000], '5,000', '25,000'],
  ])('labels %j with numbers one can read', ([low, high], ...wanted) => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, low],
            [1, high],
          ],
        },
      ],
      one,
    );
    expect(ticks(svg, 'left-tick')).toEqual(expect.arrayContaining(wanted));
    expect(new Set(ticks(svg, 'left-tick')).size).toBe(ticks(svg, 'left-tick').length);
  });

  test('logarithmic axes have powers of ten, and no points that are not positive', () => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [1e-5, 1],
            [1e-3, 100],
            [1e-2, 0],
            [1e-1, 10],
          ],
        },
      ],
      { x: { label: 'learning rate', scale: 'log' }, panels: [{ left: { label: 'loss', scale: 'log' } }] },
    );
    expect(ticks(svg, 'x-tick')).toEqual(['0.00001', '0.0001', '0.001', '0.01', '0.1']);
    expect(ticks(svg, 'left-tick')).toEqual(['1', '10', '100']);
    expect(points(svg, 'y')).toHaveLength(3);
    expect(points(svg, 'y')[1][0]).toBeCloseTo(tick(svg, 'x-tick', '0.001'), 1);
  });

  test('makes room for long numbers beside the axis', () => {
    const long = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 1e-5],
            [1, 5e-5],
          ],
        },
      ],
      one,
    );
    const brief = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 1],
            [1, 5],
          ],
        },
      ],
      one,
    );
    expect(points(long, 'y')[0][0]).toBeGreaterThan(points(brief, 'y')[0][0]);
  });

  test('escapes what people write', () => {
    const svg = curveSvg([{ label: 'a <b> & "c"', points: [[0, 1]] }], {
      ...one,
      title: '<script>&\u0000',
      subtitle: ']]>',
    });
    expectWellFormed(svg);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).not.toContain('\u0000');
  });

  test('a long series keeps its extremes and loses the rest', () => {
    const spike = 34_567;
    const svg = curveSvg(
      [{ label: 'y', points: Array.from({ length: 70_000 }, (_, i) => [i, i === spike ? 10 : i % 2]) }],
      one,
    );
    const drawn = points(svg, 'y');
    expect(drawn.length).toBeLessThan(8000);
    expect(Math.min(...drawn.map((point) => point[1]))).toBeCloseTo(tick(svg, 'left-tick', '10'), 1);
  });

  test('gaps stay gaps, and nothing at all is still a picture', () => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 1],
            [1, NaN],
            [2, 3],
          ],
        },
      ],
      one,
    );
    expect(svg.match(/<path data-series="y" d="([^"]*)"/)![1].match(/M/g)).toHaveLength(2);
    expectWellFormed(curveSvg([], one));
    expectWellFormed(curveSvg([{ label: 'y', points: [] }], one));
    expectWellFormed(
      curveSvg(
        [
          {
            label: 'constant',
            points: [
              [5, 0.1],
              [9, 0.1],
            ],
          },
        ],
        one,
      ),
    );
  });

  test('labels at the ends of lines are inside the image, in order, and do not overlap', () => {
    const finals = [0.81, 0.805, 0.8, 0.802, 0.3, 0.101, 0.1];
    const svg = curveSvg(
      finals.map((final, i) => ({
        label: `line ${i}`,
        points: [
          [0, 0],
          [i === 4 ? 500 : 1000, final],
        ],
      })),
      { panels: [{ left: { label: 'accuracy', format: 'percent', domain: [0.1, 0.85] }, labels: 'ends' }] },
    );
    expectWellFormed(svg);
    const labels = [...svg.matchAll(/<text x="([^"]*)" y="([^"]*)"[^>]*class="end"[^>]*>line (\d)</g)].map(
      ([, x, y, index]) => ({ x: Number(x), y: Number(y), index: Number(index) }),
    );
    expect(new Set(labels.map(({ index }) => index)).size).toBe(finals.length);
    const atTheEnd = labels.filter(({ index }) => index !== 4).sort((a, b) => a.y - b.y);
    expect(atTheEnd.map(({ index }) => index)).toEqual([0, 1, 3, 2, 5, 6]);
    const gaps = atTheEnd.slice(1).map(({ y }, i) => y - atTheEnd[i].y);
    expect(Math.min(...gaps)).toBeGreaterThan(17.9);
    expect(Math.max(...atTheEnd.map(({ y }) => y))).toBeLessThan(tick(svg, 'left-tick', '10%') + 6);
    // Within the width of 960, estimated at 0.53 em of 14 pixels for a character.
    for (const { x } of labels) expect(x + 6 * 14 * 0.53).toBeLessThan(960);
    expect(labels.find(({ index }) => index === 4)!.x).toBeLessThan(atTheEnd[0].x - 200);
  });

  test('nothing is drawn outside a given domain', () => {
    const svg = curveSvg(
      [
        {
          label: 'y',
          points: [
            [0, 0.1],
            [1, 0.7],
            [2, 0.8],
          ],
          dots: true,
        },
        { label: 'given', points: [[1, 0.2]], marker: 'diamond' },
      ],
      { panels: [{ left: { label: 'y', domain: [0.5, 0.9] } }] },
    );
    const bottom = tick(svg, 'left-tick', '0.50');
    const [, clipY, clipHeight] = /<clipPath[^>]*><rect [^>]*y="([^"]*)"[^>]*height="([^"]*)"/.exec(svg)!;
    expect(Number(clipY) + Number(clipHeight)).toBeCloseTo(bottom + 1, 1);
    expect(svg.match(/<circle /g)).toHaveLength(2 + 1); // and that of the legend
    expect(svg.match(/data-series="given"/g)).toHaveLength(1); // the legend alone
  });

  test('markers are in the legend once, and names can be left out', () => {
    const marker = { points: [[0, 1]], marker: 'diamond' } as const;
    const ends = curveSvg(
      [
        { label: 'paper', ...marker, color: '#0072b2' },
        { label: 'paper', ...marker, color: '#c24f00' },
      ],
      { panels: [{ left: { label: 'y' }, labels: 'ends' }] },
    );
    expect(ends.match(/>paper</g)).toHaveLength(1);
    const none = curveSvg([{ label: 'line', points: [[0, 1]] }], {
      title: 'title',
      panels: [{ left: { label: 'y' }, labels: 'none' }],
    });
    expect(none).not.toContain('>line<');
  });

  test('has colors for dark pages, for its own elements only', () => {
    const svg = curveSvg([{ label: 'y', points: [[0, 1]] }], one);
    const [, style] = /<style>@media \(prefers-color-scheme: dark\) \{(.*)\}<\/style>/.exec(svg)!;
    expect(svg).toMatch(/^<svg [^>]*class="cyclegrad-curves"/);
    const rules = style.split('}').filter((rule) => rule.trim() !== '');
    expect(rules.filter((rule) => !rule.trim().startsWith('.cyclegrad-curves ['))).toEqual([]);
    const drawn = new Set(svg.replace(/<style>.*<\/style>/, '').match(/(?:fill|stroke)="#[0-9a-f]{6}"/g));
    expect([...drawn].filter((color) => !style.includes(`[${color}]`))).toEqual([]);
  });

  test('refuses series and axes that are not there', () => {
    expect(() => curveSvg([{ label: 'y', points: [], panel: 1 }], one)).toThrow(
      "curveSvg: series 'y' is in panel 1, but there are 1",
    );
    expect(() => curveSvg([{ label: 'y', points: [], side: 'right' }], one)).toThrow(
      "curveSvg: series 'y' is on the right axis of panel 0, which has none",
    );
    expect(() => curveSvg([], { panels: [{ left: { label: 'y', domain: [1, 1] } }] })).toThrow(
      "curveSvg: axis 'y' has the empty domain [1, 1]",
    );
    expect(() =>
      curveSvg([], { panels: [{ left: { label: 'y' }, right: { label: 'z' }, labels: 'ends' }] }),
    ).toThrow("curveSvg: panel 0 has labels: 'ends' and a right axis");
  });

  test.each([[[1e-320, 5e-324]], [[1e308, -1e308]], [[1.7e308]], [[0, 2 ** 53, 1e300]]])(
    'draws extreme numbers: %j',
    (values) => {
      const svg = curveSvg([{ label: 'a', points: values.map((value, i) => [i, value] as const) }], one);
      expectWellFormed(svg);
      expect(svg.replace(/<text[^]*?<\/text>/g, '')).not.toMatch(/NaN|Infinity/);
    },
  );

  test('is the same every time', () => {
    const draw = (): string =>
      curveSvg(
        [
          {
            label: 'y',
            points: [
              [0, 1],
              [1, 2],
            ],
          },
        ],
        one,
      );
    expect(draw()).toBe(draw());
  });
});
