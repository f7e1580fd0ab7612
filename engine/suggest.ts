/** Suggestions for misspelled and foreign names in messages. */

/** Names of other libraries, without case and underscores, and those that stand for them here. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  basemomentum: ['momentum'],
  baselr: ['base'],
  betas: ['beta1', 'beta2'],
  callbacks: ['listeners'],
  classweight: ['weight'],
  classweights: ['weight'],
  criterion: ['loss'],
  dataset: ['data'],
  ddof: ['correction'],
  dim: ['axis', 'axes'],
  divfactor: ['div'],
  eps: ['epsilon'],
  epochs: ['steps'],
  every: ['at'],
  finaldivfactor: ['finalDiv'],
  keepdim: ['keepDims'],
  learningrate: ['lr'],
  maxlr: ['max'],
  maxmomentum: ['momentum'],
  net: ['model'],
  pctstart: ['rise'],
  start: ['begin'],
  stepsizeup: ['stepSize'],
  stop: ['end'],
  totalsteps: ['steps'],
  unbiased: ['correction'],
  validationdata: ['eval'],
  valdata: ['eval'],
};

const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

/** How many letters have to be changed, added, left out or swapped with the next one to turn `a` into `b`. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, before[j - 2] + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length];
}

/** The known names that `name` probably stands for; none if nothing is near. */
export function suggest(name: string, known: readonly string[]): readonly string[] {
  const foreign = FOREIGN[plain(name)]?.filter((one) => known.includes(one)) ?? [];
  if (foreign.length > 0) return foreign;
  const near = known
    .map((one) => ({ one, far: distance(plain(name), plain(one)) }))
    .filter(
      ({ one, far }) =>
        far < one.length && far <= Math.max(1, Math.floor(Math.min(one.length, name.length) / 3)),
    )
    .sort((a, b) => a.far - b.far);
  return near.slice(0, 1).map(({ one }) => one);
}

/** `did you mean 'steps'? known: …` */
export function knownNames(name: string, known: readonly string[]): string {
  if (plain(name) === 'epochs' && known.includes('steps')) {
    const from = known.includes('data') ? 'data.' : '';
    return `a step is one update: steps: epochs * ${from}stepsPerEpoch; known: ${known.join(', ')}`;
  }
  const names = suggest(name, known).map((one) => `'${one}'`);
  return `${names.length > 0 ? `did you mean ${names.join(' and ')}? ` : ''}known: ${known.join(', ')}`;
}
