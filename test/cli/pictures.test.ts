import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadTensors, saveTensors } from 'cyclegrad';
import { toTorch } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import { classifier } from 'cyclegrad/zoo';
import { run, tempDir, testHost } from './fixture.ts';

/** A picture of one color, with a pattern that differs by seed. */
async function picture(color: 'red' | 'blue', seed: number): Promise<Buffer> {
  const data = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => {
    const own = color === 'red' ? 0 : 2;
    return i % 3 === own
      ? 200 + ((seed * 13 + i * 7) % 55)
      : (seed * 29 + Math.floor(i / 3) * (seed + 3) * 5) % 90;
  });
  return sharp(data, { raw: { width: 16, height: 16, channels: 3 } })
    .png()
    .toBuffer();
}

let files: Readonly<Record<string, Buffer>>;
beforeAll(async () => {
  const made: Record<string, Buffer> = {};
  for (const color of ['red', 'blue'] as const) {
    for (let i = 0; i < 12; i++) made[`${color}/${i}.png`] = await picture(color, i);
  }
  files = made;
});

function write(dir: string, content: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [name, data] of Object.entries(content)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), data);
  }
}

const QUICK = '--size 16 --epochs 3 --max 0.1 --threads 1';

async function trained(options = QUICK): Promise<Awaited<ReturnType<typeof testHost>>> {
  const host = await testHost();
  write(join(host.cwd, 'colors'), files);
  expect(await run(host, `train colors ${options}`)).toBe(0);
  return host;
}

describe('train PATH', () => {
  it('describes the data, says why it chose each setting, and reports the result', async () => {
    const host = await testHost();
    const copy = {
      ...files,
      'red/copy.png': files['blue/3.png'],
      'red/bad.jpg': 'text',
      'blue/zero.png': '',
    };
    write(join(host.cwd, 'colors'), copy);
    expect(await run(host, `train colors ${QUICK}`)).toBe(0);
    expect(host.err()).toContain('colors: 25 images in 2 classes (a folder for each class)');
    expect(host.err()).toMatch(/\nsizes {6}all 16x16\nformats {4}25 PNG\n/);
    expect(host.err()).toMatch(
      /left out {3}2 files that cannot be used:\n.*zero\.png: the file is empty.*\n.*bad\.jpg: /,
    );
    expect(host.err()).toMatch(
      /several classes, so their labels contradict each other:\n.*3\.png = .*copy\.png\n/,
    );
    expect(host.err()).toMatch(/\nmodel +convnet +0\.1 million parameters for 20 training images\n/);
    expect(host.err()).toMatch(/\nsize +16x16 +given\n/);
    expect(host.err()).toMatch(/\naugment +strong +few images: /);
    expect(host.out()).toMatch(/\naccuracy +\d+\.\d%? of \d images|accuracy +[\d.]+% of \d images/);
    expect(host.out()).toContain('confusion: labels in rows, predictions in columns');
    const dir = join(host.cwd, 'runs', 'colors');
    expect(readdirSync(dir)).toEqual(
      expect.arrayContaining([
        'model.safetensors',
        'report.json',
        'report.txt',
        'run.json',
        'summary.json',
        'curve.svg',
      ]),
    );
    const { accuracy, classes } = JSON.parse(readFileSync(join(dir, 'report.json'), 'utf8')) as {
      accuracy: number;
      classes: { name: string }[];
    };
    expect(accuracy).toBeGreaterThan(0.5);
    expect(classes.map(({ name }) => name)).toEqual(['blue', 'red']);
  });

  it('resumes after Ctrl-C with the same bytes, and tests and predicts with the result', async () => {
    const host = await trained();
    const whole = readFileSync(join(host.cwd, 'runs', 'colors', 'model.safetensors'));
    let presses = 0;
    const write = host.stderr.write.bind(host.stderr) as (...args: unknown[]) => boolean;
    // Presses Ctrl-C at the first evaluation after a step.
    host.stderr.write = ((text: string, ...rest: unknown[]) => {
      if (presses === 0 && /step 1\/3: saved/.test(text)) {
        presses++;
        host.press();
      }
      return write(text, ...rest);
    }) as never;
    expect(await run(host, `train colors ${QUICK}`)).toBe(130);
    expect(host.err()).toMatch(/saved at step \d+ of \d+; to resume:\n.* train --resume runs\/colors-2\n/);
    expect(await run(host, 'evaluate runs/colors-2')).toBe(2);
    expect(host.err()).toContain('the run has not ended, so there is no model.safetensors');
    expect(await run(host, 'train --resume runs/colors-2 --threads 1')).toBe(0);
    expect(readFileSync(join(host.cwd, 'runs', 'colors-2', 'model.safetensors')).equals(whole)).toBe(true);

    const before = host.out();
    expect(await run(host, 'evaluate runs/colors --json')).toBe(0);
    const again = JSON.parse(host.out().slice(before.length)) as { accuracy: number };
    const report = JSON.parse(
      readFileSync(join(host.cwd, 'runs', 'colors', 'report.json'), 'utf8'),
    ) as object;
    expect(again).toEqual(report);
    writeFileSync(join(host.cwd, 'notes.txt'), 'text');
    expect(await run(host, 'predict runs/colors colors/red/1.png notes.txt')).toBe(1);
    expect(host.out()).toMatch(/colors\/red\/1\.png: (red|blue) [\d.]+%/);
    expect(host.err()).toContain('left out notes.txt: the file is not PNG');
    const length = host.out().length;
    expect(await run(host, 'predict --run runs/colors colors/blue colors/red/1*.png --json')).toBe(0);
    const list = JSON.parse(host.out().slice(length)) as { file: string; probabilities: object }[];
    expect(list.map(({ file }) => file)).toHaveLength(15);
    expect(Object.keys(list[0].probabilities)).toEqual(['blue', 'red']);
  });

  it('begins with the weights of another run or of PyTorch, and says which do not fit', async () => {
    const host = await trained();
    const all = { ...files, 'green/1.png': files['red/1.png'], 'green/2.png': files['blue/2.png'] };
    write(join(host.cwd, 'three'), all);
    expect(await run(host, `train three ${QUICK} --from runs/colors --freeze-epochs 1`)).toBe(0);
    expect(host.err()).toMatch(
      /weights +\d+ of \d+ arrays from runs\/colors\/model\.safetensors; these start at random:/,
    );
    expect(host.err()).toContain('  head.bias: it is [3], but [2] in the file\n');

    const net = classifier('convnet', { classes: 7, size: 16 });
    const torch = toTorch(net, nn.initState(net, null, 5), { input: [16, 16, 3] });
    await saveTensors(join(host.cwd, 'torch.safetensors'), torch);
    expect(await run(host, `train three ${QUICK} --from torch.safetensors`)).toBe(0);
    expect(host.err()).toContain('  head.bias: it is [3], but [7] in the file\n');
    expect(await run(host, `train three ${QUICK} --from torch.safetensors --model resnet20`)).toBe(2);
    expect(host.err()).toContain('no array has a name and a shape of resnet20');
    expect(await run(host, `train three ${QUICK} --from x.pt`)).toBe(2);
  });

  it('exports for ONNX Runtime, PyTorch and browsers', async () => {
    const host = await trained();
    const dir = join(host.cwd, 'runs', 'colors');
    const build = join(host.cwd, 'build');
    write(build, {
      'engine.js': "import './shared-1.js';",
      'datasets.js': '',
      'zoo.js': "export { a } from './shared-2.js';",
      'shared-1.js': '',
      'shared-2.js': '',
      'shared-3.js': 'unused',
    });
    const browser = await testHost({ cwd: host.cwd, browserBuild: build });
    for (const format of ['onnx', 'torch', 'browser']) {
      expect(await run(browser, `export runs/colors --to ${format}`)).toBe(0);
    }
    expect(readdirSync(join(dir, 'onnx'))).toEqual(['model.json', 'model.onnx']);
    expect(Object.keys(await loadTensors(join(dir, 'torch', 'model.safetensors')))).toContain(
      'features.0.conv.weight',
    );
    expect(readdirSync(join(dir, 'browser', 'cyclegrad')).sort()).toEqual([
      'datasets.js',
      'engine.js',
      'shared-1.js',
      'shared-2.js',
      'zoo.js',
    ]);
    expect(await run(browser, 'export runs/colors --to onnx')).toBe(2);
    expect(browser.err()).toContain('onnx is not empty (remove it, or name another folder: --out DIR)');
  });
});

describe('images that are not all in memory', () => {
  it('train to the same bytes, also after Ctrl-C', async () => {
    const host = await testHost({ cwd: await tempDir() });
    // 600 images of 16 x 16 take 0.46 MB, and 1500 more than 1 MB.
    const many: Record<string, Buffer> = {};
    for (const [name, data] of Object.entries(files))
      for (let i = 0; i < 60; i++) many[name.replace('.png', `-${i}.png`)] = data;
    write(join(host.cwd, 'many'), many);
    const cache = join(host.cwd, 'cache');
    const line = 'train many --size 16 --epochs 1 --max 0.1 --threads 1';
    vi.stubEnv('XDG_CACHE_HOME', cache);
    onTestFinished(() => void vi.unstubAllEnvs());
    const sizes: unknown[] = [];
    for (const [memory, dir] of [
      [2, 'runs/a'],
      [1, 'runs/b'],
    ] as const) {
      expect(await run(host, `${line} --memory ${memory} --run ${dir}`)).toBe(0);
      sizes.push(existsSync(join(cache, 'cyclegrad', 'images')));
    }
    expect(host.err()).toMatch(
      /\nmemory +1 MB +the images take 1 MB, so they are decoded into the cache and read during training; --memory changes it\n/,
    );
    const [a, b] = ['a', 'b'].map((name) => readFileSync(join(host.cwd, 'runs', name, 'model.safetensors')));
    expect(a.equals(b)).toBe(true);
    // Elsewhere the cache of the user has another variable.
    expect(sizes).toEqual([false, process.platform === 'linux']);
  });
});

describe('files of a run', () => {
  it('has the formats of --log, and its progress names the folder that is read', async () => {
    const host = await trained(`${QUICK} --log csv,jsonl,tensorboard,html`);
    const dir = join(host.cwd, 'runs', 'colors');
    expect(host.err()).toContain(`reading ${join(host.cwd, 'colors')}\n`);
    expect(host.err()).not.toContain('imageFiles');
    expect(readFileSync(join(dir, 'log.csv'), 'utf8').trim().split('\n')).toHaveLength(4);
    expect(readFileSync(join(dir, 'log.jsonl'), 'utf8')).toMatch(/^\{"type":"start"/);
    expect(readdirSync(join(dir, 'tensorboard')).sort()).toEqual(['train', 'validation']);
    expect(readFileSync(join(dir, 'report.html'), 'utf8')).toContain('blue');
    expect(host.out()).toContain('log.csv, log.jsonl, tensorboard, report.html');
  });
});

describe('the layout of the images', () => {
  it('takes folders of parts, with any of their names, and reports leaks', async () => {
    const host = await testHost();
    const parts = Object.fromEntries(
      Object.entries(files).map(([name, data], i) => [
        `${i % 4 === 0 ? 'Validation' : 'train'}/${name}`,
        data,
      ]),
    );
    write(join(host.cwd, 'parts'), { ...parts, 'Validation/red/leak.png': files['red/1.png'] });
    expect(await run(host, `train parts ${QUICK}`)).toBe(0);
    expect(host.err()).toContain('(folders of training and test images)');
    expect(host.err()).toMatch(/class +train +valid\n/);
    expect(host.err()).toMatch(/\nmodel +convnet +0\.1 million parameters for 18 training images\n/);
    expect(host.err()).toMatch(
      /in both the training and the test images, which makes the test too good:\n.*leak\.png\n/,
    );
  });

  it('takes tables of paths and labels', async () => {
    const host = await testHost();
    write(join(host.cwd, 'images'), files);
    const rows = Object.keys(files).map((name) => `images/${name};${name.split('/')[0]}`);
    write(host.cwd, { 'table.csv': `\uFEFFFile;Class\n${rows.join('\r\n')}\n`, 'bad.csv': 'a,b\n1,2\n' });
    expect(await run(host, `train table.csv ${QUICK}`)).toBe(0);
    expect(host.err()).toContain('table.csv: 24 images in 2 classes (a table of paths and labels)');
    expect(existsSync(join(host.cwd, 'runs', 'table', 'model.safetensors'))).toBe(true);
    expect(await run(host, 'train bad.csv')).toBe(2);
    expect(host.err()).toContain('bad.csv: the header must name a column of paths');
  });
});

describe('wrong use of train PATH', () => {
  it.each([
    ['train none', 'there is no such folder or file'],
    ['train colors --steps 5', '--steps: it is for training on CIFAR-10, not for images of a path'],
    ['train --epochs 5', '--epochs: it is for images of your own'],
    ['train colors --model resnet19', 'It must be one of convnet'],
    [
      'train colors --config c.json',
      '--config c.json: epohcs: there is no such option (did you mean epochs? known: ',
    ],
    ['train colors --config d.json', '--config d.json: size: 4: It must be a whole number from 8 to 1024.'],
    ['train colors --config e.json', '--config e.json: flip: it must be true or false, got "yes"'],
    ['train colors --resume', '--resume: name the folder of the run in place of the path'],
    ['train --resume colors', 'colors: there is no run.json'],
    ['train colors --freeze-epochs 1', '--freeze-epochs 1: it needs --from'],
    ['train one', 'there is only the class red'],
    ['train none --run colors --freeze-epochs 1', '--freeze-epochs 1: it needs --from'],
    ['train none --model lenet5 --size 32', '--size 32: lenet5: size must be'],
    ['train none --model vitB16 --size 40', '--size 40: vitB16: size must be a multiple of 16'],
    ['train none --size 16 --crop 16', '--crop 16: it must be below --size 16'],
    ['train colors --run colors/run', '--run colors/run: it is in the folder of the images'],
    ['train colors --run c.json', '--run c.json: it is a file'],
    ['train colors --from c.json', '--from c.json: cannot be read: '],
    ['train colors --log xml', "'xml' is no format. Use csv, jsonl, tensorboard, html"],
    ['train parts --test-share 0.3', '--test-share 0.3: the path has its own test images'],
    ['train --memory 5', '--memory: it is for images of your own'],
    ['predict', 'predict: name a run and images'],
    ['predict colors', 'predict: name the images to classify'],
    ['predict none x.png', 'none: there is no such run'],
    ['evaluate', 'evaluate: name a run'],
    ['export colors --to onnx', 'colors: there is no run.json'],
    ['export colors', "required option '--to <format>' not specified"],
  ])('%s', async (line, message) => {
    const host = await testHost({ cwd: await tempDir() });
    write(join(host.cwd, 'colors'), files);
    write(host.cwd, {
      'c.json': '{"epohcs": 3}',
      'd.json': '{"size": 4}',
      'e.json': '{"flip": "yes"}',
      'one/red/1.png': files['red/1.png'],
      'parts/train/red/1.png': files['red/1.png'],
      'parts/train/blue/1.png': files['blue/1.png'],
      'parts/test/red/1.png': files['red/2.png'],
    });
    expect(await run(host, `${line}${line.startsWith('train') ? ' --threads 1' : ''}`)).toBe(2);
    expect(host.err()).toContain(message);
    expect(existsSync(join(host.cwd, 'runs'))).toBe(false);
  });

  it('takes options from a file, below those of the command line', async () => {
    const host = await testHost();
    write(join(host.cwd, 'colors'), files);
    write(host.cwd, {
      'config.json': '{"epochs": 1, "size": 32, "flip": false, "max": 0.1, "batchSize": 8}',
    });
    expect(await run(host, 'train colors --config config.json --size 16 --threads 1')).toBe(0);
    const { settings } = JSON.parse(readFileSync(join(host.cwd, 'runs', 'colors', 'run.json'), 'utf8')) as {
      settings: object;
    };
    expect(settings).toMatchObject({ epochs: 1, size: 16, flip: false, batchSize: 8 });
  });
});
