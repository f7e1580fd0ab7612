import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const root = new URL('../../', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));

/** The built engine, as the package gives it to browsers. */
const alias = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === 'string'
    ? []
    : [
        {
          find: new RegExp(`^${manifest.name}${path.slice(1)}$`),
          replacement: fileURLToPath(new URL(target.browser, root)),
        },
      ],
);

/** With these headers a page has threads. A static site works without them. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** The built site needs no code from text. Vite's development server does. */
const POLICY =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; img-src 'self' blob: data:";

export default defineConfig({
  base: './',
  resolve: { alias },
  worker: { format: 'es' },
  server: { headers, fs: { allow: [fileURLToPath(root)] } },
  preview: { headers },
  build: { target: 'es2022', modulePreload: { polyfill: false } },
  plugins: [
    {
      name: 'content-security-policy',
      apply: 'build',
      transformIndexHtml: () => [
        {
          tag: 'meta',
          attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
          injectTo: 'head-prepend',
        },
      ],
    },
  ],
});
