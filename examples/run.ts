/** Runs an example by its name: `npm run example -- mlp`. Builds come from `npm run example`; this finds and starts. */
import { readdirSync } from 'node:fs';

const [name, ...args] = process.argv.slice(2);
const names = readdirSync(new URL('.', import.meta.url))
  .flatMap((file) => /^([\w-]+)\.(?:js|ts)$/.exec(file)?.[1] ?? [])
  .filter((found) => found !== 'run');

if (name !== undefined && names.includes(name)) {
  process.argv.splice(1, process.argv.length - 1, name, ...args); // as if it had been started itself
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  await import(new URL(`${name}.${extension}`, import.meta.url).href);
} else {
  if (name !== undefined) console.error(`There is no example called '${name}'.`);
  console.error(`Examples:\n${names.map((known) => `  npm run example -- ${known}`).join('\n')}`);
  process.exitCode = name === undefined ? 0 : 2;
}
