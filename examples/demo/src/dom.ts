/** Elements of the page. */

/** The element with an id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element '${id}'`);
  return element as T;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Radio buttons that look like one control. Returns a function that selects a value. */
export function segmented<T extends string>(
  host: HTMLElement,
  names: Readonly<Record<T, string>>,
  onSelect: (value: T) => void,
): (value: T) => void {
  const inputs = (Object.entries(names) as [T, string][]).map(([value, text]) => {
    const input = element('input', { type: 'radio', name: host.id, value });
    input.addEventListener('change', () => onSelect(value));
    host.append(element('label', {}, input, element('span', { textContent: text })));
    return input;
  });
  return (value) => {
    for (const input of inputs) input.checked = input.value === value;
  };
}

/** A learning rate with three digits. */
export const showRate = (rate: number): string =>
  rate === 0 || rate >= 0.001
    ? String(Number(rate.toPrecision(3)))
    : rate.toExponential(1).replace('e-', 'e−');

/** Draws a picture of bytes [32, 32, 3]. */
export function drawPicture(canvas: HTMLCanvasElement, pixels: Uint8Array, size: number): void {
  [canvas.width, canvas.height] = [size, size];
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d')!.putImageData(image, 0, 0);
}
