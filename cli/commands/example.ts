/** `cyclegrad example`: lists the examples of this package, copies one into the current folder, and runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../failure.ts';
import { EXIT_CODES, shellWord, type Host, type StopSignal } from '../host.ts';

interface Example {
  readonly name: string;
  /** The first line of the file. */
  readonly description: string;
  readonly text: string;
}

// Node 20 runs no TypeScript, and this extension makes a file a module in any project.
const EXTENSION = '.mjs';

export function addExampleCommand(program: Command, host: Host, setCode: (code: number) => void): void {
  program
    .command('example')
    .argument('[name]', 'example to write; without a name, list the examples')
    .argument('[args...]', 'arguments of the example, with --run')
    .description(
      'Write an example into the current folder as NAME.mjs, and print the command that runs it.\n' +
        'Without a name, list the examples.',
    )
    .option('--run', 'also run it')
    .action(
      async (name: string | undefined, args: readonly string[], options: { readonly run?: boolean }) => {
        if (name === undefined) {
          if (options.run === true) throw new UsageError('--run: pass the name of an example');
          host.stdout.write(listText(host, readExamples(host)));
          return;
        }
        if (args.length > 0 && options.run !== true) {
          throw new UsageError(`${args.join(' ')}: arguments of an example are only used with --run`);
        }
        setCode(await writeExample(host, name, args, options.run === true));
      },
    );
}

function readExamples({ examples }: Host): Example[] {
  return readdirSync(examples)
    .filter((file) => file.endsWith(EXTENSION))
    .sort()
    .map((file) => {
      const text = readFileSync(join(examples, file), 'utf8');
      const description = text.slice(0, text.indexOf('\n')).replace(/^\/\/ /, '');
      return { name: file.slice(0, -EXTENSION.length), description, text };
    });
}

function listText(host: Host, examples: readonly Example[]): string {
  const width = Math.max(...examples.map(({ name }) => name.length));
  const lines = examples.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`);
  return `${lines.join('\n')}\n\n${host.command('example')} NAME writes one into the current folder.\n`;
}

async function writeExample(
  host: Host,
  name: string,
  args: readonly string[],
  runs: boolean,
): Promise<number> {
  const examples = readExamples(host);
  const example = examples.find((one) => one.name === name);
  if (example === undefined) {
    const near = nearest(
      name,
      examples.map((one) => one.name),
    );
    throw new UsageError(
      `there is no example '${name}' (${near === null ? '' : `did you mean ${near}? `}${host.command('example')} lists the examples)`,
    );
  }
  const file = `${name}${EXTENSION}`;
  try {
    writeFileSync(join(host.cwd, file), example.text, { flag: 'wx' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new UsageError(`${file} already exists in this folder (rename or delete it first)`, { cause });
  }
  host.stderr.write(`wrote ${file}\n`);
  if (!canImport(host.cwd)) {
    host.stderr.write(
      'cyclegrad is not installed in this folder; install it first:\n  npm install cyclegrad\n',
    );
    if (runs) throw new Error(`${file} cannot run without cyclegrad in its folder`);
  }
  const command = ['node', file, ...args].map((word) => shellWord(word)).join(' ');
  if (!runs) {
    host.stdout.write(`${command}\n`);
    return 0;
  }
  host.stderr.write(`${command}\n`);
  return runNode(host, [file, ...args]);
}

/** Whether a file in this folder can import the package. */
function canImport(cwd: string): boolean {
  try {
    createRequire(join(cwd, 'file.mjs')).resolve('cyclegrad');
    return true;
  } catch {
    return false;
  }
}

/** Runs Node with the streams of this process. A signal to stop reaches the example as well. */
async function runNode(host: Host, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, args, { cwd: host.cwd, stdio: 'inherit' });
  // In a terminal, Ctrl-C already reaches every process of the group.
  const release = host.onStop((signal) => {
    if (signal !== 'SIGINT') child.kill(signal);
  });
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, StopSignal | null];
    return code ?? EXIT_CODES[signal ?? 'SIGTERM'];
  } finally {
    release();
  }
}

/** The name with the fewest edits, if they are few. */
function nearest(name: string, names: readonly string[]): string | null {
  const ranked = names.map((known) => ({ known, edits: editsBetween(name, known) }));
  const best = ranked.reduce((a, b) => (b.edits < a.edits ? b : a));
  const startsWith = names.filter((known) => known.startsWith(name));
  if (best.edits <= Math.max(1, Math.ceil(best.known.length / 3))) return best.known;
  return startsWith.length === 1 ? startsWith[0] : null;
}

/** The number of inserted, removed, replaced or swapped neighboring characters. */
function editsBetween(a: string, b: string): number {
  const table = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_unused, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replaced = table[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      table[i][j] = Math.min(table[i - 1][j] + 1, table[i][j - 1] + 1, replaced);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) table[i][j] = Math.min(table[i][j], table[i - 2][j - 2] + 1);
    }
  }
  return table[a.length][b.length];
}
