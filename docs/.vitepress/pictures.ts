/** Pictures in pages: SVG files are put into the page, and schedules are drawn from the code that is shown. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { runInThisContext } from 'node:vm';
import type { MarkdownRenderer } from 'vitepress';
import { curveSvg } from '../../engine/index.ts';
import * as schedulers from '../../schedulers/index.ts';

/** Points of a drawn schedule, and the last step. A divisor of the usual lengths, so that corners stay sharp. */
const SAMPLES = 400;

/** The schedule that an expression such as `cyclicLR({ … })` builds. */
function evaluate(code: string): schedulers.Schedule {
  const expression = code.trim().replace(/;$/, '');
  const build = runInThisContext(`({ ${Object.keys(schedulers).join(', ')} }) => (${expression})`) as (
    names: typeof schedulers,
  ) => schedulers.Schedule;
  return schedulers.asSchedule(build(schedulers));
}

/** The picture of a schedule over a run. */
export function drawSchedule(code: string, steps: number): string {
  const schedule = evaluate(code);
  const count = Math.min(steps, SAMPLES);
  const sampled = Array.from({ length: count }, (_, i) => Math.floor((i * steps) / count));
  const points = [...new Set([...sampled, steps - 1])].map((step): [number, number] => [
    step,
    schedule(step),
  ]);
  const panels = [{ left: { label: 'value' } }];
  return curveSvg([{ label: schedule.config.kind, points }], { panels, width: 640, height: 300 });
}

/** An SVG document as part of a page, where style.css, not its own style, gives its colors the page's theme. */
const inPage = (svg: string, description: string): string =>
  `<span class="picture" v-pre>${svg.replace(/^<\?xml[^]*?\?>|<style>[^]*?<\/style>/g, '').replace('role="img"', `role="img" aria-label="${description}"`)}</span>`;

/**
 * A Markdown plugin.
 *
 *  - `![What it shows](../bench/results/x.svg)` alone in a paragraph puts the file into the page, so that it follows the theme.
 *  - A block with `ts schedule steps=10000` is an expression that builds a schedule; its picture is drawn below it.
 */
export function pictures(md: MarkdownRenderer): void {
  const { fence, image } = md.renderer.rules;
  if (!fence || !image) throw new Error('docs: this version of VitePress renders no fences or no images');
  md.renderer.rules.fence = (tokens, index, ...rest) => {
    const token = tokens[index];
    const steps = /^ts schedule steps=(\d+)$/.exec(token.info.trim())?.[1];
    if (steps === undefined) return fence(tokens, index, ...rest);
    token.info = 'ts';
    return (
      fence(tokens, index, ...rest) +
      inPage(drawSchedule(token.content, Number(steps)), 'Its values over a run')
    );
  };
  md.renderer.rules.image = (tokens, index, options, env: { readonly path: string }, self) => {
    const source = tokens[index].attrGet('src') ?? '';
    if (!source.endsWith('.svg') || /^(\w+:)?\//.test(source))
      return image(tokens, index, options, env, self);
    return inPage(
      readFileSync(resolve(dirname(env.path), source), 'utf8'),
      md.utils.escapeHtml(tokens[index].content),
    );
  };
}
