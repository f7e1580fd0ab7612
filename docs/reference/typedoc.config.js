// The API reference: Markdown pages in docs/api, made from the docstrings of the sources.
import { entries, ROOT } from './entries.js';

export default {
  name: 'cyclegrad',
  entryPoints: entries.map(({ source }) => ROOT + source),
  tsconfig: `${ROOT}tsconfig.json`,
  // The repository's own compiler, a newer one, has checked the types.
  skipErrorChecking: true,
  plugin: ['typedoc-plugin-markdown', './topics.js'],
  out: '../api',
  readme: 'none',
  router: 'module',
  entryFileName: 'index',
  hideBreadcrumbs: true,
  hidePageHeader: true,
  hidePageTitle: true,
  hideGroupHeadings: true,
  hideGenerator: true,
  useCodeBlocks: true,
  sanitizeComments: true,
  useHTMLEncodedBrackets: true,
  expandParameters: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  tableColumnSettings: { hideSources: true, hideInherited: true, hideModifiers: true },
  sort: ['source-order'],
  groupOrder: ['Functions', 'Classes', 'Variables', 'Interfaces', 'Type Aliases'],
  basePath: ROOT,
  // Types that only inner parts use are shown by name.
  validation: { notExported: false, invalidLink: true, notDocumented: false },
};
