/** Tabs, as the WAI-ARIA practices describe them: the arrow keys move between them. */
import { h } from './dom.ts';

export interface Tab {
  readonly id: string;
  readonly name: string;
  readonly element: HTMLElement;
  /** Called when the tab is selected. */
  readonly onShow?: () => void;
}

export interface Tabs {
  readonly list: HTMLElement;
  readonly panels: readonly HTMLElement[];
  readonly names: readonly string[];
  select(index: number): void;
}

/** The selected tab is part of the address, so that it stays after a reload. */
export function tabs(all: readonly Tab[]): Tabs {
  const buttons = all.map(({ id, name }, i) =>
    h(
      'button',
      {
        type: 'button',
        role: 'tab',
        id: `tab-${id}`,
        'aria-controls': `panel-${id}`,
        title: `${name} (${i + 1})`,
        onclick: () => select(i),
      },
      name,
    ),
  );
  const panels = all.map(({ id, element }) =>
    h('div', { role: 'tabpanel', id: `panel-${id}`, 'aria-labelledby': `tab-${id}` }, element),
  );
  const select = (index: number): void => {
    buttons.forEach((button, i) => {
      button.setAttribute('aria-selected', String(i === index));
      button.tabIndex = i === index ? 0 : -1;
      panels[i].hidden = i !== index;
    });
    // On a narrow screen the list scrolls.
    buttons[index].scrollIntoView({ block: 'nearest', inline: 'nearest' });
    history.replaceState(null, '', `#${all[index].id}`);
    all[index].onShow?.();
  };
  const list = h(
    'div',
    {
      role: 'tablist',
      'aria-label': 'Views',
      onkeydown: (event: KeyboardEvent) => {
        const at = buttons.findIndex((button) => button === document.activeElement);
        const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
        if (at < 0 || to === undefined) return;
        event.preventDefault();
        const index = (to + all.length) % all.length;
        select(index);
        buttons[index].focus();
      },
    },
    ...buttons,
  );
  const wanted = all.findIndex(({ id }) => `#${id}` === location.hash);
  select(Math.max(0, wanted));
  return { list, panels, names: all.map(({ name }) => name), select };
}
