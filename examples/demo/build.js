// The demo: `node examples/demo/build.js dev` serves it, `build` makes a static site in examples/demo/dist, `preview` serves that site.
// Further arguments go to Vite: `build --outDir ../site`. `--pictures synthetic` makes pictures without a data set, for tests.
// Dependencies are in package.json beside this file and are installed when missing. The engine in dist must be built before.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runNode, runNpm } from '../../programs.js';
import { makePictures } from './pictures.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const args = process.argv.slice(2);
const at = args.indexOf('--pictures');
const [, source = 'cifar10'] = at === -1 ? [] : args.splice(at, 2);
const [command = 'dev', ...rest] = args;

if (!['dev', 'build', 'preview'].includes(command)) {
  console.error(`error: the demo has no command '${command}' (use dev, build or preview)`);
  process.exit(2);
}
if (!existsSync(`${here}node_modules/vite`)) runNpm(['ci', '--no-audit', '--no-fund'], here);
await makePictures(source);
runNode(['../../node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'], here);
runNode(['node_modules/vite/bin/vite.js', command, ...rest], here);
