import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { plotText, widthOf } from '../../cli/terminal/plot.ts';

const plot = (values: readonly number[], width: number): string[] =>
  plotText(values, { from: 'a', to: 'b', width, format: (x) => x.toFixed(2) }).split('\n');

describe('plots in the terminal', () => {
  it('keep a peak of one value, however narrow they are', () => {
    const values = Array.from({ length: 5000 }, (_, i) => (i === 3217 ? 1 : 0));
    for (const width of [33, 40, 100]) {
      const lines = plot(values, width);
      expect(lines[0]).toMatch(/ 1\.00 [┤┼] +╭/);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    }
  });

  it('are as wide with few values as with many', () => {
    const [few, many] = [[0, 3, 1], Array.from({ length: 400 }, (_, i) => i)].map((values) =>
      plot(values, 80),
    );
    expect(few.at(-2).length).toBe(many.at(-2).length);
    expect(few[0]).toContain('╭');
  });

  it('leave out what is not a number', () => {
    expect(plot([0, 1, NaN, NaN, 1, 0], 60)).toEqual(plot([0, 1, 1, 0], 60));
  });

  it.each([0.001, 1e16, 2 ** 53, 1e308, -1e308, 1e-320])('label a constant with its value: %d', (value) => {
    const format = (x: number): string => String(Number(x.toPrecision(3)));
    const [first, second] = plotText([value, value], { from: 'a', to: 'b', width: 40, format }).split('\n');
    expect(first).toMatch(/^ *\S+ ┼─+ *$/);
    expect(first.trim().split(' ')[0]).toBe(format(value));
    expect(second.trim()).toMatch(/^a +b$/);
  });

  it('reach from the lowest to the highest number', () => {
    const format = (x: number): string => String(Number(x.toPrecision(3)));
    const lines = plotText([-1e308, 1e308], { from: 'a', to: 'b', width: 60, format }).split('\n');
    expect([lines[0], lines[12]].map((line) => line.trim().split(' ')[0])).toEqual(['1e+308', '-1e+308']);
  });

  it('mark places below the axis, in as many lines as it takes', () => {
    const lines = plotText([0, 1, 2], {
      from: '0',
      to: '1',
      width: 53,
      format: String,
      marks: [
        { label: 'end', at: 1 },
        { label: 'middle', at: 0.5 },
        { label: 'near', at: 0.56 },
        { label: 'start', at: 0 },
        { label: 'outside', at: 1.1 },
      ],
    }).split('\n');
    const [axis, ...marks] = lines.slice(-4).map((line) => line.slice(12));
    expect([axis.length, axis[0], axis.at(-1)]).toEqual([40, '0', '1']);
    expect(marks).toEqual([
      `↑ start${' '.repeat(13)}↑ middle${' '.repeat(7)}end ↑`,
      `${' '.repeat(22)}↑ near`,
      '',
    ]);
    expect([marks[0].indexOf('↑ middle'), marks[0].length]).toEqual([20, 40]);
  });

  it('are as wide as the terminal, or as COLUMNS says where there is none', () => {
    const output = new PassThrough();
    expect(widthOf(Object.assign(new PassThrough(), { columns: 72 }), { COLUMNS: '40' })).toBe(72);
    expect(widthOf(output, { COLUMNS: '40' })).toBe(40);
    expect([widthOf(output, {}), widthOf(output, { COLUMNS: 'wide' })]).toEqual([100, 100]);
    expect(widthOf(output, { COLUMNS: '1e9' })).toBe(1000);
  });
});
