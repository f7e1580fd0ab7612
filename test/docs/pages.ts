/** The pages of the documentation and what tests look at in them: fenced blocks, headings and links. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Block {
  /** The page's path from the root, and the line of the fence, as messages show them: `docs/gpu.md:12`. */
  readonly at: string;
  /** The first word after the fence: `ts`, `sh`. */
  readonly language: string;
  /** What follows it: `no-run: it needs a GPU`. */
  readonly info: string;
  readonly code: string;
}

export interface Page {
  /** From the root, with slashes: `docs/gpu.md`. */
  readonly path: string;
  readonly blocks: readonly Block[];
  /** The lines outside of fenced blocks. Lines of blocks are empty, which keeps the line numbers. */
  readonly prose: readonly string[];
}

function parse(path: string, text: string): Page {
  const blocks: Block[] = [];
  const prose: string[] = [];
  let open: { readonly fence: string; readonly words: string; readonly line: number } | null = null;
  let code: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const [, fence = '', words = ''] = /^\s*(`{3,})(.*)$/.exec(line) ?? [];
    prose.push(open !== null || fence !== '' ? '' : line);
    if (open === null) {
      if (fence !== '') open = { fence, words: words.trim(), line: index + 1 };
    } else if (fence.length >= open.fence.length && words === '') {
      const [language = '', ...info] = open.words.split(' ');
      blocks.push({
        at: `${path}:${open.line}`,
        language,
        info: info.join(' '),
        code: `${code.join('\n')}\n`,
      });
      open = null;
      code = [];
    } else {
      code.push(line);
    }
  }
  if (open !== null)
    throw new Error(`${path}:${open.line}: the block has no end (close it with ${open.fence})`);
  return { path, blocks, prose };
}

const GENERATED = /^docs\/(api|node_modules|\.vitepress)\//;

/** README.md and every page below docs that somebody wrote. */
export const pages: readonly Page[] = [
  'README.md',
  ...readdirSync(`${ROOT}docs`, { recursive: true, encoding: 'utf8' })
    .map((file) => `docs/${file.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.md') && !GENERATED.test(path))
    .sort(),
].map((path) => parse(path, readFileSync(ROOT + path, 'utf8')));
