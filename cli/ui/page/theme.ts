/** Light and dark: as the system prefers, or as the reader chose. */
import { h, setText } from './dom.ts';

const KEY = 'cyclegrad-theme';
const THEMES = ['auto', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

const stored = (): Theme => THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? 'auto';

/** A button that changes the theme. `onChange` is called when colors change. */
export function themeButton(onChange: () => void): HTMLButtonElement {
  let theme = stored();
  const button = h('button', { type: 'button', class: 'quiet', title: 'Change the theme (t)' });
  const show = (): void => {
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    setText(button, `Theme: ${theme}`);
    onChange();
  };
  button.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem(KEY, theme);
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
  show();
  return button;
}
