/** The examples of docstrings as modules. docs/README.md documents the convention. */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'rolldown/parseAst';
import { expect } from 'vitest';
import * as root from 'cyclegrad';
import * as datasets from 'cyclegrad/datasets';
import * as augment from 'cyclegrad/augment';
import * as metrics from 'cyclegrad/metrics';
import * as optim from 'cyclegrad/optim';
import * as schedulers from 'cyclegrad/schedulers';
import * as tools from 'cyclegrad/tools';
import * as ui from 'cyclegrad/ui';
import * as interop from 'cyclegrad/interop';
import * as worker from 'cyclegrad/worker';
import * as zoo from 'cyclegrad/zoo';
import { entries } from '../../docs/reference/entries.js';
import { filesOf } from '../../docs/reference/undocumented.js';
import { ROOT } from './pages.ts';
import type { Line, SourceFile } from './programs.ts';

export interface Example {
  readonly at: string;
  /** The function of the module that runs it. */
  readonly name: string;
  readonly lines: readonly Line[];
}

/** The examples of a source file as one module, which exports a function for each. */
export interface ExampleModule extends SourceFile {
  readonly source: string;
  readonly examples: readonly Example[];
}

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** What examples use without declaring it. For names in several modules, the entry of the file comes first, then this order. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  prelude: [...readFileSync(`${HERE}prelude.ts`, 'utf8').matchAll(/^export const (\w+)/gm)].map(
    ([, name]) => name,
  ),
  cyclegrad: Object.keys(root),
  'cyclegrad/optim': Object.keys(optim),
  'cyclegrad/schedulers': Object.keys(schedulers),
  'cyclegrad/augment': Object.keys(augment),
  'cyclegrad/datasets': Object.keys(datasets),
  'cyclegrad/metrics': Object.keys(metrics),
  'cyclegrad/tools': Object.keys(tools),
  'cyclegrad/ui': Object.keys(ui),
  'cyclegrad/zoo': Object.keys(zoo),
  'cyclegrad/interop': Object.keys(interop),
  'cyclegrad/worker': Object.keys(worker),
};

/** The examples of everything that the package exports, to be written to a folder. */
export function exampleModules(folder: string): readonly ExampleModule[] {
  const entryOf = new Map<string, string>();
  for (const { name, source } of entries) {
    for (const file of filesOf(source)) if (!entryOf.has(file)) entryOf.set(file, name);
  }
  return [...entryOf].flatMap(([source, entry]) => {
    const examples = examplesIn(source, readFileSync(join(ROOT, source), 'utf8'));
    if (examples.length === 0) return [];
    const lines = [
      ...importsFor(entry, examples, folder).map((text) => ({ text, at: source })),
      ...examples.flatMap(functionOf),
    ];
    return [{ source, path: `${source.replace(/\W+/g, '-')}.ts`, lines, examples }];
  });
}

/** The text after each `@example` of a source file, up to the next tag or the end of the docstring. */
export function examplesIn(file: string, text: string): readonly Example[] {
  const examples: { at: string; name: string; lines: Line[] }[] = [];
  let lines: Line[] | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    const comment = /^\s*(?:\/\*\*|\*(?!\/)) ?(.*?)(?:\s*\*\/)?$/.exec(line)?.[1];
    const at = `${file}:${index + 1}`;
    if (comment === undefined || comment.startsWith('@')) lines = null;
    const [, first = comment] = /^@example ?(.*)$/.exec(comment ?? '') ?? [];
    if (comment?.startsWith('@example') === true) {
      lines = [];
      examples.push({ at, name: `line${index + 1}`, lines });
    }
    if (first !== undefined) lines?.push({ text: first, at });
  }
  return examples;
}

function importsFor(entry: string, examples: readonly Example[], folder: string): readonly string[] {
  const code = examples.flatMap(({ lines }) => lines.map(({ text }) => text)).join('\n');
  const used = new Set(code.replaceAll('...', ' ').match(/(?<![.\w$])[A-Za-z_$][\w$]*/g));
  const order = new Set([...(entry in NAMES ? [entry] : []), ...Object.keys(NAMES)]);
  const path = (module: string): string => `${relative(folder, HERE).replaceAll('\\', '/')}/${module}.ts`;
  const imports = [
    "import * as nn from 'cyclegrad/nn';",
    `import { expectShown } from '${path('examples')}';`,
  ];
  for (const module of order) {
    const names = NAMES[module].filter((name) => used.delete(name));
    const from = module === 'prelude' ? path('prelude') : module;
    if (names.length > 0) imports.push(`import { ${names.join(', ')} } from '${from}';`);
  }
  return imports;
}

/** The function that runs an example, in as many lines as the example and two more. */
function functionOf({ at, name, lines }: Example): readonly Line[] {
  const code = lines.map(({ text }) => text).join('\n');
  const body = parse(code);
  const checked = (typeof body === 'string' ? body : withChecks(at, code, body)).split('\n');
  return [
    { text: `export const ${name} = async (): Promise<void> => {`, at },
    ...lines.map((line, i) => ({ text: checked[i] ?? '', at: line.at })),
    { text: '};', at },
  ];
}

type Body = ReturnType<typeof parseAst>['body'];

/** The statements. For invalid code, a statement that throws the error. The other examples of the file still run. */
function parse(code: string): Body | string {
  try {
    return parseAst(code, { lang: 'ts', sourceType: 'module' }).body;
  } catch (error) {
    return `throw new SyntaxError(${JSON.stringify((error as Error).message)});`;
  }
}

/** The code with a check of each value that a comment behind an expression or a constant states. */
function withChecks(at: string, code: string, body: Body): string {
  let checked = code;
  for (const statement of body.toReversed()) {
    const [, comment] = /^;?[ \t]*\/\/ (.*)/.exec(code.slice(statement.end)) ?? [];
    if (comment === undefined || valueOf(comment) === undefined) continue;
    const before = checked.slice(0, statement.start);
    const own = code.slice(statement.start, statement.end);
    const after = checked.slice(statement.end);
    if (statement.type === 'ExpressionStatement') {
      const { start, end } = statement.expression;
      checked = `${before}await expectShown(${code.slice(start, end)}, ${JSON.stringify(comment)});${after}`;
    } else if (statement.type === 'VariableDeclaration' && statement.declarations.length === 1) {
      const { id } = statement.declarations[0];
      if (id.type !== 'Identifier') throw new Error(`${at}: only a single name can have a stated value`);
      checked = `${before}${own} await expectShown(${id.name}, ${JSON.stringify(comment)});${after}`;
    }
  }
  return checked;
}

/** Fails unless a value, with tensors evaluated, is the one that a comment states, to the digits of the comment. */
export async function expectShown(value: unknown, comment: string): Promise<void> {
  expect(await plain(await value)).toEqual(valueOf(comment)?.matcher);
}

/** The value with nested arrays in place of tensors and typed arrays. */
async function plain(value: unknown): Promise<unknown> {
  if (value instanceof root.Tensor) return value.array();
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array);
  if (Array.isArray(value)) return Promise.all(value.map(plain));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  const members = Object.entries(value).map(async ([name, member]) => [name, await plain(member)] as const);
  return Object.fromEntries(await Promise.all(members));
}

/** What a comment states if it is a literal, or an array or object of literals. Its numbers match to the digits shown. */
function valueOf(comment: string): { readonly matcher: unknown } | undefined {
  try {
    const [statement] = parseAst(`(${comment})`, { lang: 'ts' }).body;
    if (statement.type !== 'ExpressionStatement') return undefined;
    return { matcher: matcherOf(statement.expression as unknown as Syntax) };
  } catch {
    return undefined;
  }
}

/** What `matcherOf` reads of a node of the syntax tree. */
interface Syntax {
  readonly type: string;
  readonly expression: Syntax;
  readonly elements: readonly Syntax[];
  readonly properties: readonly Syntax[];
  readonly key: Syntax;
  readonly argument: Syntax;
  readonly operator: string;
  readonly name: string;
  readonly value: unknown;
  readonly raw: string;
}

const CONSTANTS: Readonly<Record<string, unknown>> = { NaN, Infinity, undefined };

/** Throws for anything but literals and arrays and objects of them. */
function matcherOf(node: Syntax): unknown {
  switch (node.type) {
    case 'ParenthesizedExpression':
      return matcherOf(node.expression);
    case 'ArrayExpression':
      return node.elements.map(matcherOf);
    case 'ObjectExpression':
      return Object.fromEntries(
        node.properties.map(({ key, value }) => [key.name ?? key.value, matcherOf(value as Syntax)]),
      );
    case 'UnaryExpression':
      if (node.operator !== '-') break;
      if (node.argument.name === 'Infinity') return -Infinity;
      return closeTo(-Number(node.argument.value), node.argument.raw);
    case 'Identifier':
      if (node.name in CONSTANTS) return CONSTANTS[node.name];
      break;
    case 'Literal':
      return typeof node.value === 'number' ? closeTo(node.value, node.raw) : node.value;
  }
  throw new Error(`a ${node.type} states no value`);
}

/** Matches numbers that round to the digits shown. An integer must be exact, up to the rounding of f32. */
function closeTo(value: number, digits: string): unknown {
  const [mantissa, exponent = '0'] = digits.toLowerCase().split('e');
  const decimals = (mantissa.split('.')[1] ?? '').length - Number(exponent);
  return expect.closeTo(value, decimals > 0 ? decimals : 4);
}
