/** Drags with the pointer. */
import type { DrivenPage } from './devtools.ts';

/** Drags the middle of an element by some pixels. */
export async function drag(page: DrivenPage, selector: string, x: number, y: number): Promise<void> {
  const [left, top] = await page.evaluate<[number, number]>(`(() => {
    const element = document.querySelector('${selector}');
    element.scrollIntoView({ block: 'center' });
    const { left, top, width, height } = element.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  })()`);
  const mouse = (type: string, toX: number, toY: number): Promise<unknown> =>
    page.send('Input.dispatchMouseEvent', {
      type,
      x: toX,
      y: toY,
      button: 'left',
      buttons: 1,
      clickCount: 1,
    });
  await mouse('mousePressed', left, top);
  for (let part = 1; part <= 5; part++)
    await mouse('mouseMoved', left + (x * part) / 5, top + (y * part) / 5);
  await mouse('mouseReleased', left + x, top + y);
}
