/** Elements without a framework. */

type Child = Node | string | null;

/** Attributes; `on…` are listeners, and `class` is a class name. */
type Attributes = Readonly<
  Record<string, string | number | boolean | null | ((event: never) => void) | undefined>
>;

/** An element with attributes and children. Attributes that are false, null or undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Sets the text of an element only if it changes, so that screen readers do not repeat it. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** The value of a CSS variable of the page. */
export const cssVariable = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();
