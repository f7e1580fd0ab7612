import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';
import { pictures } from './pictures.ts';
import { guide, reference } from './sidebar.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = guide(root);

export default defineConfig({
  title: 'cyclegrad',
  description: 'Deep-learning training in TypeScript with cyclical learning rates',
  lang: 'en-US',
  srcExclude: ['README.md'],
  // The sidebar of the reference is long: in a file of its own it is not part of every page.
  metaChunk: true,
  transformHead: ({ siteData }) => [
    ['link', { rel: 'icon', href: `${siteData.base}icon.svg`, type: 'image/svg+xml' }],
  ],
  markdown: { config: pictures },
  // The search index is one file.
  vite: { build: { chunkSizeWarningLimit: 2000 } },
  themeConfig: {
    logo: '/icon.svg',
    nav: [
      { text: 'Guide', link: pages[0]?.items?.[0]?.link ?? '/', activeMatch: '^/(?!api/|notes/)' },
      { text: 'API', link: '/api/', activeMatch: '^/api/' },
      // Not a page of VitePress: with a target, the browser loads it.
      { text: 'Demo', link: '/demo/index.html', target: '_self' },
      {
        text: 'Notes',
        link: pages.find(({ text }) => text === 'Notes')?.items?.[0]?.link ?? '/',
        activeMatch: '^/notes/',
      },
    ],
    sidebar: { '/': pages, '/api/': reference(root) },
    outline: [2, 3],
    search: { provider: 'local' },
  },
});
