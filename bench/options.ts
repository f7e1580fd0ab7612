/** Options of several benchmarks, and the output of their results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { InvalidArgumentError } from 'commander';

/** An integer >= `low`. */
export const wholeFrom =
  (low: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isSafeInteger(value) && value >= low) return value;
    throw new InvalidArgumentError(`It must be a whole number of ${low} or more.`);
  };

/** A number above 0. */
export const positive = (text: string): number => {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
};

/** Numbers of threads, separated by commas. */
export const threadList = (text: string): number[] => [...new Set(text.split(',').map(wholeFrom(1)))];

/** Names separated by commas, each one of `known`. */
export const namesOf =
  <N extends string>(known: readonly N[]) =>
  (text: string): N[] =>
    text.split(',').map((name) => {
      const match = known.find((one) => one === name.trim());
      if (match !== undefined) return match;
      throw new InvalidArgumentError(`'${name}' is none of ${known.join(', ')}.`);
    });

/** Prints the text, and writes the result to the file of `--json [file]`. Without a file, stdout gets only the result. */
export function deliver(result: unknown, text: string, json: string | true | undefined): void {
  const print = json === true ? console.error : console.log;
  print(text);
  if (json === undefined) return;
  const content = `${JSON.stringify(result, null, 2)}\n`;
  if (json === true) process.stdout.write(content);
  else {
    mkdirSync(dirname(json), { recursive: true });
    writeFileSync(json, content);
    print(`wrote ${json}`);
  }
}
