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
  });

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
