/** Numbers of the report. */

export const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

/** 25000 as '25,000'. */
export const thousands = (x: number): string => x.toLocaleString('en');
