// Builds the documentation site: `node docs/build.js build`, or `dev` for a server that follows changes of pages. Further arguments
// go to VitePress: `build --base /cyclegrad/`. The site's dependencies are in docs/package.json and are installed when missing. The
// demo, which is part of the site, needs the built engine in dist, and CIFAR-10.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildKernels } from '../engine/backends/wasm/build/build.js';
import { runNode, runNpm } from '../programs.js';

const docs = fileURLToPath(new URL('.', import.meta.url));
const [command = 'build', ...rest] = process.argv.slice(2);

if (!existsSync(`${docs}node_modules/vitepress`)) runNpm(['ci', '--no-audit', '--no-fund'], docs);
await buildKernels();
runNode(['../node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'], docs);
runNode(
  ['node_modules/typedoc/bin/typedoc', '--options', 'reference/typedoc.config.js', '--logLevel', 'Warn'],
  docs,
);
runNode(['../examples/demo/build.js', 'build', '--outDir', `${docs}public/demo`, '--emptyOutDir'], docs);
runNode(['node_modules/vitepress/bin/vitepress.js', command, ...rest], docs);
