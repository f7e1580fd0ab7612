/** `--config FILE.json`: options in a file. Those of the command line take precedence. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, type Option } from 'commander';
import { closest, distance } from 'fastest-levenshtein';
import { UsageError } from '../failure.ts';

/**
 * Sets the options of `command` from a JSON file, whose keys are the names of the options in camel case. Values are checked as on the
 * command line. Throws UsageError with the path of the file and the key for a key or a value that is wrong.
 */
export function applyConfig(command: Command, cwd: string, file: string, names: readonly string[]): void {
  const config = readConfig(cwd, file);
  for (const [key, value] of Object.entries(config)) {
    if (!names.includes(key))
      throw new UsageError(`--config ${file}: ${key}: there is no such option (${near(key, names)})`);
    const option =
      command.options.find((each) => each.attributeName() === key && !each.negate) ??
      command.options.find((each) => each.attributeName() === key)!;
    const parsed = parseValue(`--config ${file}: ${key}`, option, value);
    if (command.getOptionValueSource(key) !== 'cli') command.setOptionValueWithSource(key, parsed, 'config');
  }
}

function near(key: string, names: readonly string[]): string {
  const best = closest(key, [...names]);
  const hint =
    distance(key.toLowerCase(), best.toLowerCase()) <= Math.max(2, key.length / 3)
      ? `did you mean ${best}? `
      : '';
  return `${hint}known: ${names.join(', ')}`;
}

/** The object in a configuration file. `flag` is the option that named the file. Throws UsageError for anything else. */
export function readConfig(cwd: string, file: string, flag = '--config'): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(resolve(cwd, file), 'utf8'));
  } catch (cause) {
    throw new UsageError(`${flag} ${file}: cannot be read as JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw new UsageError(
    `${flag} ${file}: it must be an object such as { "epochs": 30 }, got ${JSON.stringify(value).slice(0, 60)}`,
  );
}

/** The value as the option on the command line gives it. */
function parseValue(where: string, option: Option, value: unknown): unknown {
  if (option.isBoolean() || option.negate) {
    if (typeof value === 'boolean') return value;
    throw new UsageError(`${where}: it must be true or false, got ${JSON.stringify(value)}`);
  }
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new UsageError(`${where}: it must be a number or a text, got ${JSON.stringify(value)}`);
  }
  const text = String(value);
  try {
    return option.parseArg === undefined ? text : option.parseArg(text, undefined as never);
  } catch (cause) {
    if (!(cause instanceof InvalidArgumentError || cause instanceof UsageError)) throw cause;
    throw new UsageError(`${where}: ${JSON.stringify(value)}: ${cause.message}`, { cause });
  }
}
