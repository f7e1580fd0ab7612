/**
 * What the API reference lacks: public functions without a docstring or an example, and options without a description.
 * `node docs/reference/undocumented.js` lists them.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { isMain } from '../../programs.js';
import { entries, ROOT } from './entries.js';

/** @typedef {'docstring' | 'example' | 'option'} Lack */

/**
 * @typedef {object} Gap
 * @property {string} entry `cyclegrad/optim`
 * @property {Lack} lacks
 * @property {string} name `adam`, or `AdamOptions.beta1`
 * @property {string} at the file from the root
 */

/**
 * @typedef {object} Declaration
 * @property {string} id its file and its name there
 * @property {string} name as users write it
 * @property {'function' | 'options' | 'other'} kind
 * @property {string} docs the text of all its docstrings
 * @property {readonly string[]} undescribed members of options without a docstring
 * @property {string} file
 */

/**
 * @typedef {object} Module
 * @property {string} text
 * @property {ReturnType<typeof parseAst>['body']} body
 */

/**
 * A function that remembers its results.
 *
 * @template T
 * @param {(file: string) => T} compute
 */
function once(compute) {
  /** @type {Map<string, T>} */
  const results = new Map();
  return (/** @type {string} */ file) => {
    const result = results.get(file) ?? compute(file);
    results.set(file, result);
    return result;
  };
}

/** @type {(file: string) => Module} */
const read = once((file) => {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return { text, body: parseAst(text, { lang: 'ts' }).body };
});

/**
 * The docstring that ends right before a place.
 *
 * @param {string} text
 * @param {number} start
 */
function docsBefore(text, start) {
  const before = text.slice(0, start).trimEnd();
  if (!before.endsWith('*/')) return '';
  const comment = before.slice(before.lastIndexOf('/*'));
  return comment.startsWith('/**') ? comment : '';
}

/** @typedef {Module['body'][number]} Statement */

/**
 * What a statement declares, by name; several statements declare a function with overloads.
 *
 * @param {Statement} statement
 * @param {Module} module
 * @param {string} file
 * @returns {Declaration[]}
 */
function declarationsOf(statement, { text }, file) {
  const node = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
  const docs = docsBefore(text, statement.start);
  /** @param {string} name @param {Declaration['kind']} kind @param {readonly string[]} [undescribed] */
  const declaration = (name, kind, undescribed = []) => ({
    id: `${file}#${name}`,
    name,
    kind,
    docs,
    undescribed,
    file,
  });
  if (!node) return [];
  if (node.type === 'FunctionDeclaration' || node.type === 'TSDeclareFunction') {
    return node.id ? [declaration(node.id.name, 'function')] : [];
  }
  if (node.type === 'VariableDeclaration') {
    return node.declarations.flatMap(({ id, init }) => {
      if (id.type !== 'Identifier') return [];
      const callable = /^(ArrowFunction|Function|Call)Expression$/.test(init?.type ?? '');
      return [declaration(id.name, callable ? 'function' : 'other')];
    });
  }
  if (node.type === 'ClassDeclaration') return node.id ? [declaration(node.id.name, 'other')] : [];
  if (node.type !== 'TSInterfaceDeclaration' && node.type !== 'TSTypeAliasDeclaration') return [];
  const { name } = node.id;
  if (!name.endsWith('Options')) return [declaration(name, 'other')];
  const undescribed = membersOf(node).flatMap((member) =>
    'key' in member && member.key.type === 'Identifier' && docsBefore(text, member.start) === ''
      ? [member.key.name]
      : [],
  );
  return [declaration(name, 'options', undescribed)];
}

/** @param {Extract<Statement, { type: 'TSInterfaceDeclaration' | 'TSTypeAliasDeclaration' }>} node */
function membersOf(node) {
  if (node.type === 'TSInterfaceDeclaration') return node.body.body;
  return node.typeAnnotation.type === 'TSTypeLiteral' ? node.typeAnnotation.members : [];
}

/** @param {{ type: string, name?: string, value?: unknown }} name */
const textOf = (name) => String(name.name ?? name.value);

/** All that a file declares, exported or not. */
const declared = once((file) => read(file).body.flatMap((one) => declarationsOf(one, read(file), file)));

/**
 * What a name of a file stands for: a declaration of its own, or what it exports from elsewhere.
 *
 * @param {string} file
 * @param {string} name
 * @returns {Declaration[]}
 */
function lookUp(file, name) {
  const own = declared(file).filter((one) => one.name === name);
  return own.length > 0 ? own : exportsOf(file).filter((one) => one.name === name);
}

/**
 * All that a file exports, with what it exports again.
 *
 * @type {(file: string) => Declaration[]}
 */
const exportsOf = once((file) =>
  read(file).body.flatMap((statement) => {
    /** @param {string} source */
    const resolve = (source) => join(dirname(file), source);
    if (statement.type === 'ExportAllDeclaration') {
      const { exported, source } = statement;
      if (!source.value.startsWith('.')) return [];
      const all = exportsOf(resolve(source.value));
      return exported === null
        ? all
        : all.map((one) => ({ ...one, name: `${textOf(exported)}.${one.name}` }));
    }
    if (statement.type !== 'ExportNamedDeclaration') return [];
    if (statement.declaration) return declarationsOf(statement, read(file), file);
    return statement.specifiers.flatMap(({ local, exported }) => {
      const from = statement.source ? resolve(statement.source.value) : file;
      return lookUp(from, textOf(local)).map((one) => ({ ...one, name: textOf(exported) }));
    });
  }),
);

/**
 * The files whose declarations an entry exports.
 *
 * @param {string} source the entry's file
 */
export const filesOf = (source) => [...new Set(exportsOf(source).map(({ file }) => file))];

/**
 * What every entry lacks, in the order of package.json.
 *
 * @returns {Gap[]}
 */
export function findGaps() {
  return entries.flatMap(({ name: entry, source }) => {
    /** @type {Map<string, Declaration>} */
    const byId = new Map();
    for (const one of exportsOf(source)) {
      const before = byId.get(one.id);
      // Overloads have the same id, and so has what a namespace exports a second time.
      const name = before !== undefined && before.name.length < one.name.length ? before.name : one.name;
      byId.set(one.id, { ...one, name, docs: (before?.docs ?? '') + one.docs });
    }
    return [...byId.values()].flatMap(({ name, kind, docs, undescribed, file }) => {
      /** @param {Lack} lacks @param {string} what */
      const gap = (lacks, what) => ({ entry, lacks, name: what, at: file });
      return [
        ...(kind === 'function' && docs === '' ? [gap('docstring', name)] : []),
        ...(kind === 'function' && !docs.includes('@example') ? [gap('example', name)] : []),
        ...undescribed.map((member) => gap('option', `${name}.${member}`)),
      ];
    });
  });
}

/**
 * How many gaps of each kind there are, in all.
 *
 * @param {readonly Gap[]} gaps
 * @returns {Record<Lack, number>}
 */
export function count(gaps) {
  const counts = { docstring: 0, example: 0, option: 0 };
  for (const { lacks } of gaps) counts[lacks]++;
  return counts;
}

if (isMain(import.meta.url)) {
  const gaps = findGaps();
  const lines = gaps.map(({ entry, lacks, name, at }) => `${entry}\t${lacks}\t${name}\t${at}`);
  for (const { name } of entries) {
    const { docstring, example, option } = count(gaps.filter(({ entry }) => entry === name));
    lines.push(
      `${name}: without docstring ${docstring}, without example ${example}, undescribed options ${option}`,
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}
