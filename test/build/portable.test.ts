/** What a checkout and the build need on Windows and macOS. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { npmCall } from '../../programs.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Tracked {
  readonly mode: string;
  readonly path: string;
}

/** The files of the repository, with their modes. */
const tracked = (): readonly Tracked[] =>
  execFileSync('git', ['ls-files', '--stage', '-z'], { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 26 })
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => ({ mode: line.slice(0, 6), path: line.slice(line.indexOf('\t') + 1) }));

const inCheckout = spawnSync('git', ['rev-parse'], { cwd: ROOT }).status === 0;

describe.skipIf(!inCheckout)(
  `the names of files${inCheckout ? '' : ', not here: this is no checkout of git'}`,
  () => {
    it('are valid on Windows', () => {
      const invalid = (name: string): boolean =>
        // oxlint-disable-next-line no-control-regex -- Windows refuses these, too
        /[<>:"\\|?*\x00-\x1f]|[. ]$/.test(name) || /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name);
      expect(tracked().filter(({ path }) => path.split('/').some(invalid))).toEqual([]);
    });

    it('differ in more than case and the form of their accents', () => {
      const seen = new Map<string, string>();
      const same: string[] = [];
      for (const { path } of tracked()) {
        const key = path.normalize('NFC').toLowerCase();
        if (seen.has(key)) same.push(`${seen.get(key)!} ${path}`);
        seen.set(key, path);
      }
      expect(same).toEqual([]);
    });

    it('are short enough, and no links', () => {
      // Windows allows 260 characters with the folder of the checkout.
      expect(tracked().filter(({ path }) => path.length > 160)).toEqual([]);
      expect(tracked().filter(({ mode }) => mode === '120000')).toEqual([]);
    });
  },
);

describe('the scripts of package.json', () => {
  it.each(['package.json', 'docs/package.json', 'examples/demo/package.json'])(
    'of %s run in cmd as in sh',
    (file) => {
      const { scripts = {} } = JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as {
        readonly scripts?: Readonly<Record<string, string>>;
      };
      for (const script of Object.values(scripts)) {
        // No quotes, variables, substitutions, paths to programs, or separators that cmd lacks.
        expect(script).not.toMatch(/['$`;~]|\|\||(^|&& )(\.|[A-Z_]+=)/);
        for (const command of script.split(' && '))
          expect(['npm', 'node', 'tsc', 'vitest', 'oxlint', 'prettier']).toContain(command.split(' ')[0]);
      }
    },
  );
});

describe('programs of the build', () => {
  it('run in a checkout that is reached through a link', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-portable-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const program = join(folder, 'program.js');
    const tool = pathToFileURL(join(ROOT, 'programs.js')).href;
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(program, `import { isMain } from '${tool}';\nconsole.log(isMain(import.meta.url));\n`);
    writeFileSync(join(folder, 'other.js'), "import './program.js';\n");
    const linked = join(folder, 'linked');
    symlinkSync(folder, linked, 'junction');
    const output = (file: string): string =>
      execFileSync(process.execPath, [file], { encoding: 'utf8' }).trim();
    expect([output(program), output(join(linked, 'program.js')), output(join(folder, 'other.js'))]).toEqual([
      'true',
      'true',
      'false',
    ]);
  });

  it('call npm through a shell on Windows only, with quotes around spaces', () => {
    const args = ['ci', '--cache', String.raw`C:\my cache`];
    expect(npmCall(args, '.', 'win32')).toEqual([
      'npm',
      ['ci', '--cache', String.raw`"C:\my cache"`],
      { cwd: '.', stdio: 'inherit', shell: true },
    ]);
    expect(npmCall(args, '.', 'linux')).toEqual(['npm', args, { cwd: '.', stdio: 'inherit', shell: false }]);
  });
});
