/** Patterns that select parameters by name, as plain data. */
import { isRecord, show } from './options.ts';
import { sizeOf } from './shape.ts';
import type { ParamSpec } from './nn/layer.ts';

/** The description of a parameter of a model. */
export interface NamedParameter extends ParamSpec {
  /** Path of the parameter: 'block1.conv1.weight'. */
  readonly name: string;
  /** Number of values. */
  readonly size: number;
}

/** A function that selects parameters. Configs identify it by its name. */
export interface NamedMatch {
  readonly name: string;
  readonly fn: (parameter: NamedParameter) => boolean;
}

/** A path ('block1' or 'block1.conv1'), a regular expression for the name, or a function with a name. */
export type Pattern = string | RegExp | NamedMatch;
/** One pattern or several. A parameter is selected if one of them matches. */
export type Match = Pattern | readonly Pattern[];

type Specs = Readonly<Record<string, ParamSpec>>;

/** Whether a parameter is at a path or below it. The empty path contains all. */
export const isUnder = (name: string, path: string): boolean =>
  path === '' || name === path || name.startsWith(`${path}.`);

/** The patterns of a match. Throws TypeError for anything but patterns. */
export function patternsOf(where: string, match: unknown): readonly Pattern[] {
  const patterns: readonly unknown[] = Array.isArray(match) ? match : [match];
  for (const pattern of patterns) if (!isPattern(pattern)) throw notPattern(where, pattern);
  if (patterns.length === 0) {
    throw new TypeError(
      `${where} must have at least one pattern, got an empty array (write /bias$/ or 'head')`,
    );
  }
  return patterns as readonly Pattern[];
}

export const isPattern = (x: unknown): x is Pattern =>
  typeof x === 'string' ||
  x instanceof RegExp ||
  (isRecord(x) && typeof x['name'] === 'string' && x['name'] !== '' && typeof x['fn'] === 'function');

function notPattern(where: string, pattern: unknown): TypeError {
  const fix =
    typeof pattern === 'function'
      ? " (name it, because a checkpoint stores the name: { name: 'matrices', fn: ({ shape }) => shape.length > 1 })"
      : '';
  return new TypeError(
    `${where} must be a path, a regular expression, { name, fn } or an array of these, got ${show(pattern)}${fix}`,
  );
}

/** A pattern as text: head, /bias$/ or matrices(). Different patterns have different texts. */
export function patternText(pattern: Pattern): string {
  if (typeof pattern === 'string') return pattern;
  return pattern instanceof RegExp ? String(pattern) : `${pattern.name}()`;
}

/** Whether a pattern matches a parameter. */
function testOf(pattern: Pattern): (name: string, spec: ParamSpec) => boolean {
  if (typeof pattern === 'string') return (name) => isUnder(name, pattern);
  if (pattern instanceof RegExp) {
    // With the flags g and y, an expression remembers where its last match ended.
    const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
    return (name) => stateless.test(name);
  }
  return (name, spec) => pattern.fn({ name, size: sizeOf(spec.shape), ...spec });
}

/**
 * The names of the parameters that at least one pattern matches, in the order of `specs`. Calls `refuse` for a pattern that matches
 * none.
 */
export function select(
  patterns: readonly Pattern[],
  specs: Specs,
  refuse: (pattern: Pattern) => never,
): readonly string[] {
  const entries = Object.entries(specs);
  const tests = patterns.map((pattern) => {
    const test = testOf(pattern);
    if (pattern !== '' && !entries.some(([name, spec]) => test(name, spec))) refuse(pattern);
    return test;
  });
  return entries.filter(([name, spec]) => tests.some((test) => test(name, spec))).map(([name]) => name);
}
