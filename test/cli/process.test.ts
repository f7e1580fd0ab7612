/** The command as a process of its own, built from the sources as they are now: signals, pipes, exit status. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildSources } from '../setup/build.ts';
import { SMALL, tempDir } from './fixture.ts';

const execute = promisify(execFile);
const built = buildSources();
const main = join(built, 'cli', 'main.js');
const tiny = join(built, 'tiny.js');

beforeAll(() => {
  // The same command with a few made-up images: the real ones are neither here nor quick.
  writeFileSync(
    tiny,
    `import { processHost } from './cli/host.js';
import { runCli } from './cli/program.js';
import { synthetic } from './datasets/index.js';
const images = (seed) => synthetic({ kind: 'images', n: 40, seed });
const cifar10 = async () => ({ train: images(1), test: images(2) });
process.exitCode = await runCli(process.argv.slice(2), { ...processHost(), cifar10 });
`,
  );
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Starts `node script ...`; `watch` sees the process each time it has written something. */
async function start(
  script: string,
  line: string,
  cwd: string,
  watch: (child: ChildProcess, out: string, err: string) => void = () => undefined,
): Promise<Ended> {
  const child = spawn(process.execPath, [script, ...line.split(' ')], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => watch(child, (out += String(chunk)), err));
  child.stderr.on('data', (chunk) => watch(child, out, (err += String(chunk))));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

const LONG = `train ${SMALL} --steps 1000000 --eval-every 1000000 --run r --json`;
const steps = (out: string): number => out.split('"type":"step"').length - 1;

it('main.js answers and fails with the status that it says', async () => {
  const cwd = await tempDir();
  expect(await start(main, '--version', cwd)).toEqual({ code: 0, out: '1.2.3\n', err: '' });
  expect((await start(main, 'train --steps none', cwd)).code).toBe(2);
});

it('a Node that is too old is told so, before anything is loaded that it cannot read', async () => {
  const older = join(built, 'older.cjs');
  writeFileSync(
    older,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.19.1' } });",
  );
  const run = execute(process.execPath, ['--require', older, main, '--version']);
  await expect(run).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr:
      'error: cyclegrad needs Node 20 or newer, and this is Node 18.19.1 (install one from https://nodejs.org)\n',
  });
});

it.runIf(existsSync('/dev/full'))('a full disk behind stdout is one message, without a stack', async () => {
  const run = execute('/bin/sh', ['-c', `"${process.execPath}" "${main}" schedule fixed > /dev/full`]);
  await expect(run).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^error: cannot write to stdout: [^\n]*ENOSPC[^\n]*\n$/),
  });
});

it('trains, and ends by itself', async () => {
  const cwd = await tempDir();
  const { code, out, err } = await start(tiny, `train ${SMALL} --steps 3`, cwd);
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('done, 3 of 3 steps') });
  expect(out).toMatch(/^test accuracy {2}\d/);
  expect(existsSync(join(cwd, 'runs', 'quick-table2-seed1', 'curve.svg'))).toBe(true);
});

it('doctor tries the GPU in a process of its own, whose warnings it leaves out', async () => {
  const { code, out, err } = await start(main, 'doctor', await tempDir());
  expect({ code, err }).toEqual({ code: 0, err: '' });
  // What runs depends on the machine. What does not comes with what would change it (its packages are here).
  expect(out).toMatch(
    /backend gpu \(optional\)\n {2}WebGPU {9}(no: .*\n +fix: a GPU with its driver|.+; webgpu: )/,
  );
  expect(out).toMatch(/\n {2}WebGL {10}(no: .*\n +fix: npm install gl@|.+; webgl: )/);
});

it('without WebAssembly, training is refused unless the reference backend is requested', async () => {
  const cwd = await tempDir();
  const train = (options: string) =>
    execute(process.execPath, [
      '--jitless',
      tiny,
      ...`train --net quick --batch-size 1 --steps 1 --run r${options}`.split(' '),
    ]);
  await expect(train('')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /error: The wasm backend is not available: wasm: there is no WebAssembly here .*\n\(node \S+ doctor says more; --backend reference/,
    ),
  });
  expect(existsSync(join(cwd, 'r'))).toBe(false);
});

it.skipIf(process.platform === 'win32')('a limit of open files that is too low is one message', async () => {
  const run = execute('/bin/sh', ['-c', `ulimit -n 40 && exec "${process.execPath}" "${main}" --version`]);
  const { code, stderr } = await run.then(
    (done) => ({ ...done, code: 0 }),
    (error: { code: number; stderr: string }) => error,
  );
  // Newer versions load one module after another.
  const suffices = Number(process.versions.node.split('.')[0]) >= 22;
  expect({ code, stderr }).toEqual(
    suffices
      ? { code: 0, stderr: '' }
      : {
          code: 1,
          stderr:
            'error: cyclegrad cannot load its files, because this process may open only 40 files (raise the limit: ulimit -n 1024)\n',
        },
  );
});

// Windows has no signals to send to another process; Ctrl-C in a console comes as SIGINT there too.
describe.skipIf(process.platform === 'win32')('signals', () => {
  it('SIGINT saves, and what it prints resumes the run', async () => {
    const cwd = await tempDir();
    let sent = false;
    const first = await start(tiny, LONG, cwd, (child, out) => {
      if (!sent && steps(out) >= 3) sent = child.kill('SIGINT');
    });
    expect(first.code).toBe(130);
    const found = /saved at step (\d+) of 1000000; to resume:\n {2}node (\S+) (.*)\n/.exec(first.err);
    expect(found?.[3]).toBe(`${LONG} --resume`);
    const saved = Number(found![1]);

    const more = found![3].replace('--steps 1000000', `--steps ${saved + 2}`);
    const second = await start(join(cwd, found![2]), more, cwd);
    expect({ code: second.code, steps: steps(second.out) }).toEqual({ code: 0, steps: 2 });
    expect(second.err).toContain(`resumed at step ${saved} of ${saved + 2} steps`);
    expect(JSON.parse(readFileSync(join(cwd, 'r', 'summary.json'), 'utf8'))).toMatchObject({ state: 'done' });
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s saves too and ends with %i', async (signal, status) => {
    const cwd = await tempDir();
    let sent = false;
    const { code, err } = await start(tiny, LONG, cwd, (child, out) => {
      if (!sent && steps(out) >= 3) sent = child.kill(signal);
    });
    expect({ code, err }).toMatchObject({ code: status, err: expect.stringContaining('to resume') });
  });

  it('a second signal ends a command whose file system does not answer', async () => {
    const cwd = await tempDir();
    await execute('mkfifo', [join(cwd, 'pipe')]);
    writeFileSync(
      join(built, 'hanging.js'),
      `import { open } from 'node:fs/promises';
import { processHost } from './cli/host.js';
import { runCli } from './cli/program.js';
const cifar10 = () => open('pipe', 'r'); // waits for a writer
await runCli(process.argv.slice(2), { ...processHost(), cifar10 });
`,
    );
    const child = spawn(process.execPath, [join(built, 'hanging.js'), 'data', 'cifar10', '--data', 'd'], {
      cwd,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('downloading')) child.kill('SIGINT');
      if (text.includes('stopping')) child.kill('SIGTERM');
    });
    expect(await once(child, 'close')).toEqual([null, 'SIGTERM']);
  });

  it.runIf(existsSync('/proc/self'))('folders that nothing can create are errors', async () => {
    const cwd = await tempDir();
    symlinkSync('nowhere', join(cwd, 'link'));
    writeFileSync(join(cwd, 'file'), '');
    for (const [run, reason] of [
      ['/proc/x', 'folders cannot be created in /proc'],
      ['link/run', join(cwd, 'link is a link whose target does not exist')],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one process at a time
      const { code, err } = await start(tiny, `train ${SMALL} --steps 1 --run ${run}`, cwd);
      expect({ code, err }).toMatchObject({
        code: 1,
        err: expect.stringContaining(`created: ${reason} (use`),
      });
    }
  });

  it('a reader that goes away (| head) does not stop training', async () => {
    const cwd = await tempDir();
    const { code, err } = await start(tiny, LONG.replace('1000000', '30'), cwd, (child, out) => {
      if (steps(out) >= 1) child.stdout!.destroy();
    });
    expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('done, 30 of 30 steps') });
  });

  it('a reader that goes away before the help is printed gets no stack', async () => {
    const child = spawn(process.execPath, [main, 'train', '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let err = '';
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });
});
