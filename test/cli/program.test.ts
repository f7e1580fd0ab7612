import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError } from 'cyclegrad';
import { wideSimdUnavailableReason } from 'cyclegrad/tools';
import { writeCifar100, writeMnist, writeSvhn } from '../datasets/official-files.ts';
import { run, SMALL, testHost } from './fixture.ts';

describe('wrong use ends with 2 and says what is allowed', () => {
  const cases: readonly (readonly [string, string])[] = [
    [
      'train --steps 0',
      "option '--steps <n>' argument '0' is invalid. It must be a whole number from 1 to 1000000000.",
    ],
    [
      'train --steps 1.5',
      "option '--steps <n>' argument '1.5' is invalid. It must be a whole number from 1 to",
    ],
    ['train --batch-size 50001', "argument '50001' is invalid. It must be a whole number from 1 to 50000."],
    ['train --threads many', "argument 'many' is invalid. It must be a whole number from 1 to 256."],
    ['train --seed -1', "argument '-1' is invalid. It must be a whole number of 0 or more."],
    ['train --schedule fixed --lr fast', "argument 'fast' is invalid. It must be a number of 0 or more"],
    [
      'train --schedule exp-range --gamma 1.1',
      "argument '1.1' is invalid. It must be a number above 0 and at most 1.",
    ],
    [
      'train --log csv,excel',
      "argument 'csv,excel' is invalid. 'excel' is no format. Use csv, jsonl, tensorboard, html, separated by commas.",
    ],
    ['train --simd turbo', "argument 'turbo' is invalid. Allowed choices are auto, plain, relaxed, wide."],
    ['train --backend cuda', "argument 'cuda' is invalid. Allowed choices are auto, wasm, gpu, reference."],
    ['train --net huge', "argument 'huge' is invalid. Allowed choices are full, quick."],
    ['train --lr 0.1', '--lr 0.1: it does not apply to --schedule table2'],
    [
      'train --backend reference --threads 2',
      '--threads 2: the reference backend has only one thread (omit --threads)',
    ],
    ['train --backend gpu --threads 2', '--threads 2: the gpu backend has no threads (omit --threads)'],
    ['train --stepz 5', "unknown option '--stepz'\n(Did you mean --steps?)"],
    ['train now', 'now: there is no such folder or file'],
    ['train now later', "too many arguments for 'train'. Expected 1 argument but got 2."],
    ['tarin', "unknown command 'tarin'\n(Did you mean train?)"],
    ['train --resume', `--resume: ${join('runs', 'full-table2-seed1')} has no checkpoint (omit --resume`],
    ['', 'Usage: cyclegrad'],
  ];
  it.each(cases)('%s', async (line, message) => {
    const host = await testHost();
    expect(await run(host, line)).toBe(2);
    expect(host.err()).toContain(message);
    expect(host.out()).toBe('');
    expect(readdirSync(host.cwd)).toEqual([]);
  });

  it('options that npm took for itself', async () => {
    const host = await testHost({ env: { npm_lifecycle_event: 'start', npm_config_steps: '200' } });
    expect(await run(host, 'train')).toBe(2);
    expect(host.err()).toContain('put -- before the options: npm start -- --steps 200');
    const other = await testHost({ env: { npm_lifecycle_event: 'start', npm_config_eval_every: '5' } });
    expect(await run(other, 'train')).toBe(2);
    expect(other.err()).toContain('npm start -- --eval-every 5');
  });
});

it('help and version are answers, on stdout', async () => {
  const host = await testHost();
  expect(await run(host, '--version')).toBe(0);
  expect(await run(host, 'train --help')).toBe(0);
  expect(host.out()).toMatch(/^\d+\.\d+\.\d+\nUsage: cyclegrad train/);
  expect(host.out()).toContain('node main.js train --steps 2000');
  expect(host.err()).toBe('');
});

it('train --log also writes files for other programs', { timeout: 120_000 }, async () => {
  const host = await testHost();
  const options = `${SMALL} --steps 2 --eval-every 2 --run r --log html,csv,tensorboard`;
  expect(await run(host, `train ${options}`)).toBe(0);
  expect(host.out()).toContain('report.html, log.csv, tensorboard, checkpoints)');
  expect(readdirSync(join(host.cwd, 'r', 'tensorboard'))).toEqual(['train', 'validation']);
  expect(readFileSync(join(host.cwd, 'r', 'log.csv'), 'utf8')).toMatch(
    /^epoch,loss,accuracy,val_loss,.*\n0,/,
  );
  expect(readFileSync(join(host.cwd, 'r', 'report.html'), 'utf8')).toContain('Confusion matrix');
});

describe('train', () => {
  it('leaves a run folder, tells accuracy, and neither overwrites nor resumes by accident', async () => {
    const host = await testHost();
    expect(await run(host, `train ${SMALL} --steps 3 --eval-every 2`)).toBe(0);
    const dir = join(host.cwd, 'runs', 'quick-table2-seed1');
    expect(readdirSync(dir).sort()).toEqual([
      'curve.svg',
      'events.jsonl',
      'step-00000003.safetensors',
      'summary.json',
    ]);
    expect(host.out()).toMatch(
      /^test accuracy {2}\d+\.\d% after 3 steps\nbest {11}\d+\.\d% after \d steps?\ntime /,
    );
    const summary = JSON.parse(readFileSync(join(dir, 'summary.json'), 'utf8')) as {
      readonly state: string;
      readonly config: Record<string, unknown>;
    };
    expect(summary.state).toBe('done');
    expect(summary.config).toMatchObject({
      net: 'quick',
      parameters: 145_578,
      optimizer: {
        kind: 'sgd',
        form: 'caffe',
        hyper: { momentum: 0.9, weightDecay: 0.004, lr: { kind: 'join' } },
      },
      data: { batchSize: 4, shuffle: false },
    });

    const again = await testHost({ cwd: host.cwd });
    expect(await run(again, `train ${SMALL} --steps 5`)).toBe(2);
    const folder = join('runs', 'quick-table2-seed1');
    const command = `node main.js train ${SMALL} --steps 5 --run ${folder} --resume`;
    expect(again.err()).toContain(
      `${folder} already has checkpoints of a run (resume it: ${command}; or start a new run elsewhere: --run DIR)`,
    );

    const resumed = await testHost({ cwd: host.cwd });
    expect(await run(resumed, `train ${SMALL} --steps 5 --resume`)).toBe(0);
    expect(resumed.err()).toContain('resumed at step 3 of 5 steps');
    expect(resumed.out()).toMatch(/after 5 steps[^]*, from step 3 on\n/);
  });

  it('says so if the run that it resumes is complete', async () => {
    const host = await testHost();
    expect(await run(host, `train ${SMALL} --steps 2 --run r`)).toBe(0);
    const again = await testHost({ cwd: host.cwd });
    expect(await run(again, `train ${SMALL} --steps 2 --run r --resume`)).toBe(0);
    expect(again.err()).toContain(
      'the run is already complete: all 2 steps are done (use more steps to continue it)',
    );
  });

  it.skipIf(wideSimdUnavailableReason() === null)('says that --simd wide is slow here', async () => {
    const host = await testHost();
    expect(await run(host, `train ${SMALL} --steps 1 --simd wide`)).toBe(0);
    expect(host.err()).toContain(
      `--simd wide: V8 does not use 256-bit vectors (${wideSimdUnavailableReason()}), so steps take longer than with --simd relaxed\n`,
    );
  });

  it('with --json: events alone on stdout, one a line', async () => {
    const host = await testHost();
    expect(await run(host, `train ${SMALL} --steps 2 --run r --json`)).toBe(0);
    const lines = host.out().trimEnd().split('\n');
    const types = lines.map((line) => (JSON.parse(line) as { readonly type: string }).type);
    expect(types.filter((type) => type !== 'notice')).toEqual([
      'start',
      'eval',
      'step',
      'step',
      'eval',
      'checkpoint',
      'end',
    ]);
    expect(host.err()).toContain('test accuracy');
  });

  it('Ctrl-C saves, prints the command that resumes, and that one ends with the same bytes', async () => {
    const options = `train ${SMALL} --steps 6 --eval-every 100`;
    const whole = await testHost();
    expect(await run(whole, options)).toBe(0);

    const host = await testHost();
    const stdout = host.stdout.write.bind(host.stdout);
    host.stdout.write = ((chunk: string, ...rest: []) => {
      if (chunk.includes('"type":"step"') && chunk.includes('"step":1,')) host.press();
      return stdout(chunk, ...rest);
    }) as typeof host.stdout.write;
    expect(await run(host, `${options} --json`)).toBe(130);
    const folder = join('runs', 'quick-table2-seed1');
    expect(host.err()).toContain('stopping after this step and saving (Ctrl-C again quits at once)');
    const command = /saved at step (\d) of 6; to resume:\n {2}node main\.js (.*)\n/.exec(host.err());
    expect(command?.[2]).toBe(`${options} --json --run ${folder} --resume`);

    expect(await run(await testHost({ cwd: host.cwd }), command![2])).toBe(0);
    const read = (cwd: string): Buffer => tensors(join(cwd, folder, 'step-00000006.safetensors'));
    expect(read(host.cwd).equals(read(whole.cwd))).toBe(true);
  });

  it('Ctrl-C before the data is there: nothing trained, nothing left behind', async () => {
    const host = await testHost({
      cifar10: (options) =>
        new Promise((_, reject) => {
          options!.signal!.addEventListener('abort', () => reject(options!.signal!.reason as Error));
          host.press();
        }),
    });
    expect(await run(host, `train ${SMALL}`)).toBe(130);
    expect(host.err()).toContain('nothing was trained');
    expect(existsSync(join(host.cwd, 'runs'))).toBe(false);
  });

  it('what goes wrong is one message, without a stack unless asked for', async () => {
    const cifar10 = () =>
      Promise.reject(new DataError('cifar10: the data is not in /x', { cause: new Error('offline') }));
    const host = await testHost({ cifar10 });
    expect(await run(host, `train ${SMALL}`)).toBe(1);
    expect(host.err()).toBe('error: cifar10: the data is not in /x\n');
    const verbose = await testHost({ cifar10 });
    expect(await run(verbose, `train ${SMALL} --verbose`)).toBe(1);
    expect(verbose.err()).toMatch(/error: DataError: cifar10: .*\n +at [^]*caused by: Error: offline\n +at /);
  });

  it('a loss that is not finite ends with 1, and says so once', async () => {
    const host = await testHost();
    expect(await run(host, `train ${SMALL} --schedule fixed --lr 1e20 --steps 20`)).toBe(1);
    expect(host.err().match(/not finite/g)).toHaveLength(2); // the loss, and the tensor it came from
    expect(host.err()).not.toMatch(/^ +at /m);
  });

  it('output that cannot be written ends with 1, saves, and prints the command that resumes', async () => {
    const host = await testHost();
    const full = Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC' });
    const write = host.stdout.write.bind(host.stdout);
    host.stdout.write = ((chunk: string, done: (error?: Error | null) => void) => {
      if (!chunk.includes('"type":"step","step":2,')) return write(chunk, 'utf8', done);
      done(full);
      return false;
    }) as typeof host.stdout.write;
    expect(await run(host, `train ${SMALL} --steps 6 --json --run r`)).toBe(1);
    expect(host.err()).toContain('jsonLines: cannot write to the stream: write ENOSPC');
    const [, command] =
      /saved at step 3 of 6; to resume:\n {2}node main\.js (.* --resume)\n/.exec(host.err()) ?? [];
    expect(await run(await testHost({ cwd: host.cwd }), command)).toBe(0);
  });

  it('a folder in which another process trains is wrong use', async () => {
    const host = await testHost();
    mkdirSync(join(host.cwd, 'r'));
    const owner = { host: hostname(), pid: process.ppid, started: null, since: '2026-01-02T03:04:05.678Z' };
    writeFileSync(join(host.cwd, 'r', 'run.lock'), JSON.stringify(owner));
    expect(await run(host, `train ${SMALL} --steps 1 --run r`)).toBe(2);
    expect(host.err()).toContain(
      `another run writes here: process ${process.ppid} on ${hostname()} since 2026`,
    );
    expect(host.err()).not.toContain('to resume');
  });

  it('resuming with another network is refused by its checkpoint', async () => {
    const host = await testHost();
    expect(await run(host, `train ${SMALL} --steps 1 --run r`)).toBe(0);
    expect(await run(host, `train ${SMALL} --net full --steps 2 --run r --resume`)).toBe(1);
    expect(host.err()).toContain('cannot resume');
  });
});

/** A checkpoint without its header, which tells of times. */
function tensors(path: string): Buffer {
  const bytes = readFileSync(path);
  return bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
}

describe('data cifar10', () => {
  it('prints where the data is on stdout, and what it did on stderr', async () => {
    const host = await testHost();
    expect(await run(host, 'data cifar10 --data d')).toBe(0);
    expect(host.out()).toBe(`${join(host.cwd, 'd')}\n`);
    expect(host.err()).toContain('CIFAR-10: 40 training and 20 test images, downloaded in');
  });
});

describe('data of other data sets', () => {
  it.each([
    ['mnist', 'MNIST: 3 training and 2 test images'],
    ['fashion-mnist', 'Fashion-MNIST: 3 training and 2 test images'],
    ['cifar100', 'CIFAR-100: 2 training and 1 test images'],
    ['svhn', 'SVHN: 2 training and 2 test images'],
  ])('%s is found in a folder without a download', async (name, found) => {
    const host = await testHost();
    const dir = join(host.cwd, 'd');
    for (const write of [writeMnist, writeCifar100, writeSvhn]) write(dir);
    expect(await run(host, `data ${name} --data d`)).toBe(0);
    expect(host.out()).toBe(`${dir}\n`);
    expect(host.err()).toBe(`${found}, already there\n`);
  });

  it('a folder that cannot be written names the data set', async () => {
    const host = await testHost();
    writeFileSync(join(host.cwd, 'd'), '');
    expect(await run(host, 'data fashion-mnist --data d')).not.toBe(0);
    expect(host.err()).toContain(`fashionMnist: dir must be a folder, but ${join(host.cwd, 'd')} is a file`);
    expect(await run(host, 'data fashion-mnist --data d/e')).not.toBe(0);
    expect(host.err()).toContain(
      'fashionMnist: cannot write the data: a part of the path is a file: ' +
        `${join(host.cwd, 'd', 'e')} (free space there, or choose another folder: --data DIR, or fashionMnist({ dir }))`,
    );
  });
});

describe('--data', () => {
  it.each(['train --steps 1', 'find-lr --steps 20'])(
    '%s: a folder without the files does not start a download',
    async (command) => {
      const host = await testHost();
      expect(await run(host, `${command} --data typo`)).toBe(2);
      expect(host.err()).toContain(
        '--data typo: there are no CIFAR-10 files (download them there: node main.js data cifar10 --data typo, or leave out --data)',
      );
      expect(existsSync(join(host.cwd, 'typo'))).toBe(false);
    },
  );
});

describe('doctor', () => {
  it('runs every backend and tells where data is looked for', async () => {
    const host = await testHost();
    expect(await run(host, 'doctor --data d')).toBe(0);
    expect(host.out()).toContain(`node           ${process.versions.node}`);
    expect(host.out()).toMatch(
      /backend wasm \(CPU\)\n {2}runs {11}team of \d+ workers?, (plain|relaxed|wide) SIMD\n {2}shared memory {2}yes/,
    );
    expect(host.out()).toMatch(
      /backend gpu \(optional\)\n {2}WebGPU {9}no: no GPU is tested\n +fix: none\n {2}WebGL {10}no: no GPU/,
    );
    expect(host.out()).toContain(
      `CIFAR-10       not in ${join(host.cwd, 'd')}; node main.js data cifar10 --data d downloads it`,
    );
  });

  it('says the same as JSON', async () => {
    const host = await testHost();
    expect(await run(host, 'doctor --json')).toBe(0);
    expect(JSON.parse(host.out())).toMatchObject({
      runtime: { name: 'node', version: process.versions.node },
      node: { works: true },
      wasm: { run: { works: true }, workers: { works: true }, simd: { plain: { works: true } } },
      webgpu: { run: { works: expect.any(Boolean) as boolean } },
      webgl: { run: { works: expect.any(Boolean) as boolean } },
      reference: { works: true },
    });
  });
});
