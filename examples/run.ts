/** Runs an example by its name: `npm run example -- mlp`. */
import { readdirSync, readFileSync } from 'node:fs';

const [name, ...args] = process.argv.slice(2);
const folder = new URL('.', import.meta.url);
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const names = readdirSync(folder)
  .flatMap((file) => /^([\w-]+)\.(?:js|ts)$/.exec(file)?.[1] ?? [])
  .filter((found) => found !== 'run');

/** The first line of an example describes it. */
const describe = (known: string): string =>
  readFileSync(new URL(`${known}.${extension}`, folder), 'utf8')
    .split('\n', 1)[0]
    .replace(/^\/\/ /, '');

if (name !== undefined && names.includes(name)) {
  process.argv.splice(1, process.argv.length - 1, name, ...args); // as if it had been started directly
  await import(new URL(`${name}.${extension}`, folder).href);
} else {
  if (name !== undefined) console.error(`error: there is no example '${name}'`);
  const width = Math.max(...names.map((known) => known.length));
  console.error(
    [
      'npm run example -- NAME runs one of these examples:',
      ...names.map((known) => `  ${known.padEnd(width)}  ${describe(known)}`),
    ].join('\n'),
  );
  process.exitCode = name === undefined ? 0 : 2;
}
