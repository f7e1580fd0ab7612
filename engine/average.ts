/** The names of averages in the state of a run, and the state with the averages in place of the values. */

/** The prefix of averages among the arrays of an optimizer. */
export const AVERAGE = 'average/';
/** What averages are divided by. It is 0 before the first one. */
export const WEIGHT = 'averageWeight';

/** The names of an average and of its weight. */
interface Averaged {
  readonly average: string;
  readonly weight: string;
}

/** Where the averages of arrays are, by the names of the arrays. Parts of a partition have averages of their own. */
export function averagesIn(names: readonly string[]): Readonly<Record<string, Averaged>> {
  const all = new Set(names);
  const found: Record<string, Averaged> = {};
  for (const weight of names.filter((name) => name === WEIGHT || name.endsWith(`/${WEIGHT}`))) {
    const prefix = weight.slice(0, -WEIGHT.length) + AVERAGE;
    for (const average of names.filter((name) => name.startsWith(prefix))) {
      const name = average.slice(prefix.length);
      if (all.has(name)) found[name] = { average, weight };
    }
  }
  return found;
}

/** The arrays, with `combine` of average, weight and value in place of those that have an average. */
export function withAverages<T>(
  state: Readonly<Record<string, T>>,
  combine: (average: T, weight: T, value: T) => T,
): Readonly<Record<string, T>> {
  const averages = Object.entries(averagesIn(Object.keys(state)));
  const replaced = averages.map(([name, { average, weight }]) => [
    name,
    combine(state[average], state[weight], state[name]),
  ]);
  return { ...state, ...(Object.fromEntries(replaced) as Readonly<Record<string, T>>) };
}
