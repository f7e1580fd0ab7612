/**
 * A TypeDoc plugin. It makes one page for each topic of an entry, which is a source file, lays docstrings out as Markdown, and gives
 * the methods of tensors the parameters and the first paragraphs of the operations that they call.
 */
import { dirname, join, relative } from 'node:path';
import {
  Comment,
  Converter,
  DeclarationReflection,
  ParameterReflection,
  ProjectReflection,
  ReflectionKind,
  SignatureReflection,
} from 'typedoc';
import { MarkdownPageEvent } from 'typedoc-plugin-markdown';
import { firstParagraph, layOut } from './docstrings.js';
import { entries, PACKAGE, ROOT } from './entries.js';

/** @param {import('typedoc-plugin-markdown').MarkdownApplication} app */
export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const { comment } of Object.values(project.reflections)) {
      if (comment) comment.summary = [{ kind: 'text', text: layOut(textOf(comment)) }];
    }
    for (const parameter of project.getReflectionsByKind(ReflectionKind.Parameter)) {
      if (parameter.name === '__namedParameters') parameter.name = 'options';
    }
    for (const module of project.children?.slice() ?? []) splitByTopic(project, module);
    describeMethods(project);
  });
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    const { model } = page;
    if (model instanceof ProjectReflection)
      page.contents = frontPage(model, (to) => app.renderer.router?.getFullUrl(to));
    if (!(model instanceof DeclarationReflection)) return;
    const { name, topic } = placeOf(model);
    const heading = `${name}: ${topic}`;
    page.contents = `---\ntitle: '${heading}'\noutline: ${hasClass(model) ? 'deep' : 2}\n---\n\n# ${heading}\n\n${withoutNoise(page.contents)}`;
  });
}

/**
 * The entry and the topic of a page.
 *
 * @param {DeclarationReflection} module
 */
function placeOf(module) {
  const [folder, ...path] = module.name.split('/');
  const name = folder === PACKAGE ? PACKAGE : `${PACKAGE}/${folder}`;
  return { name, topic: (path.at(-1) ?? '').replaceAll('-', ' ') };
}

/** Whether names worth an outline stand below the second level. @param {DeclarationReflection} module */
const hasClass = (module) => module.getChildrenByKind(ReflectionKind.Class).length > 0;

/**
 * All that the package exports, by entry and topic: values with the first sentence of their docstrings, then types.
 *
 * @param {ProjectReflection} project
 * @param {(to: DeclarationReflection) => string | undefined} urlOf
 */
function frontPage(project, urlOf) {
  const lines = ['---', 'title: API reference', 'outline: 2', '---', '', '# API reference'];
  let current = '';
  for (const module of (project.children ?? []).toSorted(byContents)) {
    const { name, topic } = placeOf(module);
    if (name !== current) lines.push('', `## ${name}`);
    current = name;
    lines.push('', `### [${topic}](${urlOf(module)})`, '');
    /** @param {DeclarationReflection} one */
    const link = (one) => `[${one.name}](${urlOf(one)})`;
    const members = module.children ?? [];
    for (const one of members.filter((each) => !isType(each)))
      lines.push(`- ${link(one)}: ${firstSentence(one)}`);
    const types = members.filter(isType);
    if (types.length > 0)
      lines.push(`- ${types.length === 1 ? 'Type' : 'Types'}: ${types.map(link).join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Topics with only types come last in their entry.
 *
 * @param {DeclarationReflection} a
 * @param {DeclarationReflection} b
 */
function byContents(a, b) {
  if (placeOf(a).name !== placeOf(b).name) return 0;
  return Number(a.children?.every(isType)) - Number(b.children?.every(isType));
}

/** @param {DeclarationReflection} declaration */
const isType = (declaration) => declaration.kindOf([ReflectionKind.Interface, ReflectionKind.TypeAlias]);

/**
 * The first sentence of the docstring of a function, class or constant.
 *
 * @param {DeclarationReflection} declaration
 */
function firstSentence({ comment, signatures }) {
  const documented = comment ?? signatures?.find((one) => one.comment)?.comment;
  const text = documented ? firstParagraph(textOf(documented)).replace(/\s+/g, ' ') : '';
  return /^.*?[.](?= |$)/.exec(text)?.[0] ?? text;
}

/**
 * Removes what the signature already shows: a section with only the returned type, and a table of parameters without defaults and
 * descriptions, whose links to types stay. Required parameters have no default, and names of members of a namespace have no quotes.
 *
 * @param {string} page
 */
function withoutNoise(page) {
  return page
    .replace(/^#+ Returns\n\n[^\n]+\n(?=\n(#|\*\*\*)|$(?![^]))/gm, '')
    .replace(
      /^#+ Parameters\n\n\| Parameter \| Type \|\n.*\n((?:\|.*\n)+)/gm,
      (_, /** @type {string} */ rows) => {
        const links = new Set(rows.match(/\[`[^`]+`\]\([^)]+\)/g));
        return links.size === 0 ? '' : `See ${[...links].join(', ')}.\n`;
      },
    )
    .replace(/ \| `undefined` \|/g, ' | - |')
    .replace(/^(function|const) "([\w.]+)"/gm, '$1 $2')
    .replace(/^Defined in: (.*)$/gm, '<small>$1</small>')
    .replace(/^\*\*\*\n/gm, '')
    .replace(/\n{3,}/g, '\n\n');
}

/** @param {Comment} comment */
const textOf = ({ summary }) => summary.map(({ text }) => text).join('');

/**
 * Moves what an entry exports into a module for each source file. What it exports as a namespace goes along under its full name.
 *
 * @param {ProjectReflection} project
 * @param {DeclarationReflection} entry
 */
function splitByTopic(project, entry) {
  const file = fileOf(entry);
  const found = entries.find((one) => join(ROOT, one.source) === file);
  if (found === undefined) throw new Error(`docs: no entry of package.json has the source ${file}`);
  const { name, source } = found;
  const folder = name === PACKAGE ? PACKAGE : name.slice(PACKAGE.length + 1);
  /** @type {Map<string, DeclarationReflection>} */
  const topics = new Map();
  for (const member of flatten(entry)) {
    const path = relative(dirname(join(ROOT, source)), fileOf(member))
      .replace(/\.ts$/, '')
      .replaceAll('\\', '/');
    let topic = topics.get(path);
    if (topic === undefined) {
      topic = new DeclarationReflection(`${folder}/${path}`, ReflectionKind.Module, project);
      topics.set(path, topic);
      project.registerReflection(topic, undefined, undefined);
    }
    member.parent = topic;
    topic.addChild(member);
  }
  project.removeChild(entry);
  for (const [, topic] of [...topics].sort(([a], [b]) => (a < b ? -1 : 1))) project.addChild(topic);
}

/**
 * @param {DeclarationReflection} container
 * @returns {DeclarationReflection[]}
 */
function flatten(container) {
  return (container.children ?? []).flatMap((child) => {
    if (child.isReference()) return [];
    if (!child.kindOf(ReflectionKind.Namespace)) return [child];
    return flatten(child).map((member) => {
      if (!member.kindOf(ReflectionKind.SomeType)) member.name = `${child.name}.${member.name}`;
      for (const signature of member.signatures ?? []) signature.name = member.name;
      return member;
    });
  });
}

/**
 * Makes methods of the properties that `Tensor` gets from operations, which the compiler sees as functions of `...rest`.
 *
 * @param {ProjectReflection} project
 */
function describeMethods(project) {
  const declarations = Object.values(project.reflections).filter(
    (one) => one instanceof DeclarationReflection,
  );
  const tensor = declarations.find(({ name, kind }) => name === 'Tensor' && kind === ReflectionKind.Class);
  for (const property of tensor?.children ?? []) {
    const operation = declarations.find((one) => lastName(one) === property.name && takesTensor(one));
    if (operation === undefined) continue;
    property.kind = ReflectionKind.Method;
    delete property.type;
    property.signatures = (operation.signatures ?? []).map((signature) =>
      methodOf(project, property, signature, operation),
    );
  }
}

/** @param {DeclarationReflection} declaration */
const lastName = ({ name }) => name.split('.').at(-1);

/** @param {DeclarationReflection} declaration */
function takesTensor({ signatures }) {
  const type = signatures?.[0]?.parameters?.[0]?.type;
  return type?.type === 'reference' && type.name === 'TensorLike';
}

/**
 * The signature of an operation without its first parameter.
 *
 * @param {ProjectReflection} project
 * @param {DeclarationReflection} method
 * @param {SignatureReflection} signature
 * @param {DeclarationReflection} operation
 */
function methodOf(project, method, signature, operation) {
  const own = new SignatureReflection(method.name, ReflectionKind.CallSignature, method);
  if (signature.type) own.type = signature.type;
  own.parameters = (signature.parameters ?? []).slice(1).map(({ name, type, defaultValue, flags }) => {
    const copy = new ParameterReflection(name, ReflectionKind.Parameter, own);
    if (type) copy.type = type;
    if (defaultValue !== undefined) copy.defaultValue = defaultValue;
    copy.flags.fromObject(flags.toObject());
    project.registerReflection(copy, undefined, undefined);
    return copy;
  });
  const text = signature.comment ? firstParagraph(textOf(signature.comment)) : '';
  own.comment = new Comment([
    { kind: 'text', text: `${text} See ` },
    { kind: 'inline-tag', tag: '@link', text: operation.name, target: operation },
    { kind: 'text', text: '.' },
  ]);
  project.registerReflection(own, undefined, undefined);
  return own;
}

/**
 * @param {DeclarationReflection} declaration
 * @returns {string}
 */
function fileOf({ sources, signatures, name }) {
  const file = sources?.[0]?.fullFileName ?? signatures?.[0]?.sources?.[0]?.fullFileName;
  if (file === undefined) throw new Error(`docs: TypeDoc does not know the file of ${name}`);
  return file;
}
