/** The links of a page. */
import type { Page } from './pages.ts';

/** `[text](target)` and `![text](target)`, outside of code. */
const LINK = /(!?)\[[^\]]*\]\(([^()\s]+)\)/g;
const CODE = /`[^`]*`/g;

export interface Link {
  readonly target: string;
  readonly isPicture: boolean;
  /** Where it is: `docs/gpu.md:12`. */
  readonly at: string;
}

/** The links of a page that lead into the project. Those in front matter count, too. */
export function linksOf({ path, prose }: Page): Link[] {
  return prose.flatMap((line, index) => {
    const text = line.replace(CODE, '');
    const found = [...text.matchAll(LINK), ...text.matchAll(/()\blink: ([^\s,}]+)/g)];
    return found
      .map(([, mark, target = '']) => ({ target, isPicture: mark === '!', at: `${path}:${index + 1}` }))
      .filter(({ target }) => !/^[a-z]+:/.test(target));
  });
}
