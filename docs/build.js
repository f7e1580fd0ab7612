// Builds the documentation site: `node docs/build.js build`, or `dev` for a server that follows changes of pages. Further arguments
// go to VitePress: `build --base /cyclegrad/`. The site's dependencies are in docs/package.json and are installed when missing.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildKernels } from '../engine/backends/wasm/build/build.js';

const docs = fileURLToPath(new URL('.', import.meta.url));
const [command = 'build', ...rest] = process.argv.slice(2);

/** @param {string} name @param {readonly string[]} args */
function run(name, args) {
  // npm and the tools are scripts of a shell on Windows.
  execFileSync(name, args, { cwd: docs, stdio: 'inherit', shell: process.platform === 'win32' });
}

/** @param {string} tool @param {readonly string[]} args */
const runTool = (tool, args) => run(process.execPath, [`node_modules/${tool}`, ...args]);

if (!existsSync(`${docs}node_modules/vitepress`)) run('npm', ['ci', '--no-audit', '--no-fund']);
await buildKernels();
run(process.execPath, ['../node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']);
runTool('typedoc/bin/typedoc', ['--options', 'reference/typedoc.config.js', '--logLevel', 'Warn']);
runTool('vitepress/bin/vitepress.js', [command, ...rest]);
