import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from 'prettier';
import { afterAll, describe, expect, it } from 'vitest';
import { replaceBetween } from '../../bench/markdown.ts';
import { compare } from '../../bench/measure.ts';
import { peersMarkdown, peersSvg } from '../../bench/peers/chart.ts';
import { findPackage } from '../../bench/peers/found.ts';
import { checkLosses, compareNetwork } from '../../bench/peers/networks.ts';
import { measurePeers, peersTable, type PeersResult } from '../../bench/peers/peers.ts';
import { findTorch, keptMemory, Torch } from '../../bench/peers/torch.ts';
import { workloads } from '../../bench/workloads.ts';
import type { WasmReport } from 'cyclegrad';
import { isLong, LONG } from '../forms.ts';

const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-peers-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const settings = { threads: 1, pairs: 2, turnMs: 1, warmup: 1, seed: 1 };
const measure = (only: readonly ('networks' | 'tfjs' | 'jax' | 'threads')[]): Promise<PeersResult> =>
  measurePeers(
    {
      ...settings,
      starts: 1,
      only,
      workloads: ['mlp'],
      kernelTurnMs: 1,
      peers: dir,
      python: join(dir, 'no-python'),
    },
    () => undefined,
    () => undefined,
  );

describe('baselines that are not there', () => {
  it('are skipped by name, with the reason, and the result says so', async () => {
    const result = await measure(['networks', 'tfjs', 'jax', 'threads']);
    expect(result).toMatchObject({
      benchmark: 'peers',
      machine: { cores: expect.any(Number), loadAverage: expect.any(Array) },
      versions: { node: process.versions.node },
      config: { ...settings, workloads: ['mlp'] },
      baselines: { torch: null, tfjs: null, jax: null },
      networks: [],
      kernels: null,
      tfjs: null,
      jax: null,
    });
    expect(result.skipped).toEqual([
      { name: 'PyTorch', reason: expect.stringContaining('can import torch') },
      { name: 'threads', reason: 'the machine has only one thread' },
      { name: '@tensorflow/tfjs', reason: `not installed in ${dir}` },
      { name: '@jax-js/jax', reason: `not installed in ${dir}` },
    ]);
    expect(result.limits.before.all.gflopPerSecond).toBeGreaterThan(0);
    expect(result.limits.after).not.toBeNull();
    expect(peersTable(result)).toContain('skipped @jax-js/jax: not installed');
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  it('are found where their folder has them, and one that does not load says why', async () => {
    const install = (name: string, script: string): void => {
      const folder = join(dir, 'node_modules', name);
      mkdirSync(folder, { recursive: true });
      writeFileSync(
        join(folder, 'package.json'),
        JSON.stringify({ name, version: '1.2.3', main: 'index.cjs' }),
      );
      writeFileSync(join(folder, 'index.cjs'), script);
    };
    install('whole', 'module.exports = { answer: 42 };');
    install('broken', 'throw new Error("no such processor");');
    expect(await findPackage('whole', dir)).toMatchObject({
      found: true,
      value: { version: '1.2.3', exports: { answer: 42 } },
    });
    expect(await findPackage('broken', dir)).toEqual({
      found: false,
      name: 'broken',
      reason: 'does not load: no such processor',
    });
  });
});

it('losses that differ are no comparison', () => {
  checkLosses('mlp', [2.3, 2.2], [2.3001, 2.2001]);
  expect(() => checkLosses('mlp', [2.3, 2.2], [2.3, 2.1])).toThrow(
    'mlp: the losses of the engines differ, so the work is not the same: 2.3, 2.2 and 2.3, 2.1',
  );
  expect(() => checkLosses('mlp', [2.3, 2.2], [2.3, NaN])).toThrow('the losses of the engines differ');
});

const torch = findTorch();
describe('the memory allocator of PyTorch', () => {
  it('keeps freed memory with jemalloc unless the user has settings', () => {
    expect(keptMemory('/usr/lib/libjemalloc.so.2', {})).toEqual({
      MALLOC_CONF: 'oversize_threshold:1,background_thread:true,dirty_decay_ms:-1,muzzy_decay_ms:-1',
    });
    expect(keptMemory('/usr/lib/libjemalloc.so.2', { MALLOC_CONF: 'narenas:4' })).toEqual({
      MALLOC_CONF: 'narenas:4',
    });
    expect(keptMemory('/usr/lib/libmimalloc.so.2', {})).toEqual({});
  });
});

describe.skipIf(!torch.found)('PyTorch', () => {
  it.skipIf(!isLong)(`does the same work as cyclegrad${isLong ? '' : `: ${LONG}`}`, async () => {
    const baseline = await Torch.start((torch as { readonly value: string }).value, 1, { anyBlas: true });
    try {
      // Every kind of layer there is, in small batches.
      for (const name of ['full', 'resnet20', 'mlp', 'airbench'] as const) {
        const result = await compareNetwork(baseline, { ...workloads[name], batchSize: 8 }, settings);
        expect(result.report).toMatchObject({ threads: 1, fallback: null });
        expect(result.losses.theirs).toHaveLength(3);
        expect(result.comparison.theirsMsPerPair).toHaveLength(2);
        expect(Object.keys(result.layoutMs)).toContain(result.layout);
      }
      const mlp = { ...workloads.mlp, batchSize: 8 };
      const before = await compareNetwork(baseline, mlp, settings);
      const both = (await compareNetwork(baseline, mlp, settings, before)).comparison;
      expect(both.oursMsPerPair).toHaveLength(4);
      expect(both.theirsMsPerPair.slice(0, 2)).toEqual(before.comparison.theirsMsPerPair);
      expect(['glibc', 'jemalloc', 'tcmalloc', 'mimalloc', null]).toContain(baseline.versions.allocator);
      await expect(baseline.matmul({ n: -1, chain: 1 })).rejects.toThrow('PyTorch: RuntimeError');
    } finally {
      await baseline.close();
    }
  });
});

/** Few channels, and images large enough that batch normalization has more than a few values for each. */
const small = [
  { ...workloads.resnet18, zoo: { model: 'resnet18', options: { classes: 1000, width: 8 } } },
  {
    ...workloads.mobilenetV2,
    zoo: { model: 'mobilenetV2', options: { classes: 1000, width: 0.25, dropout: 0 } },
  },
  { ...workloads.unet, zoo: { model: 'unet', options: { classes: 4, width: 4 } } },
] as const;

describe.skipIf(!torch.found)('PyTorch with models of the zoo', () => {
  it.skipIf(!isLong).each(small)(`does the same work as cyclegrad: $title (${LONG})`, async (workload) => {
    const baseline = await Torch.start((torch as { readonly value: string }).value, 1, { anyBlas: true });
    try {
      const result = await compareNetwork(
        baseline,
        { ...workload, batchSize: 8, input: [64, 64, 3] },
        settings,
      );
      expect(result.losses.theirs).toHaveLength(3);
    } finally {
      await baseline.close();
    }
  });
});

describe('chart', () => {
  const comparison = compare({ steps: 3, ours: [5, 6], theirs: [10, 10] });
  const limit = { threads: 2, simd: 'relaxed', gflopPerSecond: 100, gbPerSecond: 20 } as const;
  const limits = { one: { ...limit, threads: 1 }, all: limit };
  const report: WasmReport = {
    backend: 'wasm',
    executor: 'team',
    simd: 'relaxed',
    threads: 2,
    fallback: null,
    bytes: 0,
  };
  const ms = { min: 5, median: 5.5 };
  const torchVersions = {
    torch: '1.13',
    python: '3.11',
    threads: 2,
    mkldnn: true,
    cpu: 'AVX2',
    blas: 'OpenBLAS',
    allocator: 'jemalloc',
    cuda: null,
  };
  const result: PeersResult = {
    benchmark: 'peers',
    machine: { platform: 'linux', cpu: 'A <fast> one', cores: 2, memoryBytes: 1, loadAverage: [0, 0, 0] },
    versions: { node: '20', v8: '11', cyclegrad: '0.1.0', commit: 'abcdef0123456' },
    date: '2026-01-02T03:04:05Z',
    config: {
      ...settings,
      starts: 1,
      torchKeepsMemory: false,
      torchAllocator: null,
      kernels: settings,
      workloads: ['full', 'mlp'],
    },
    baselines: { torch: torchVersions, tfjs: '4', jax: null },
    skipped: [{ name: '@jax-js/jax', reason: 'not installed' }],
    limits: { before: limits, after: limits },
    networks: [
      {
        workload: 'full',
        title: 'Caffe full',
        batchSize: 100,
        report,
        parameters: 1,
        flopsPerStep: 1,
        layout: 'channels_last',
        layoutMs: { channels_last: 1, contiguous: 2 },
        losses: { ours: [], theirs: [] },
        fused: true,
        comparison,
      },
    ],
    threads: { workload: 'full', threads: [2, 1], reports: [report, report], speedUp: 1.9, comparison },
    kernels: {
      report,
      limits,
      kernels: (['forward', 'gradInput', 'gradWeight'] as const).map((pass) => ({
        task: { kind: 'conv', pass, batch: 1, size: 8, kernel: 3, inputs: 3, outputs: 4 },
        title: 'conv',
        flops: 1,
        oursMs: ms,
        kernelMs: 1,
        gflopPerSecond: 50,
        limit: comparison,
        ofLimit: 0.5,
        torch: { layout: 'contiguous', gflopPerSecond: 20, comparison },
      })),
    },
    tfjs: {
      version: '4.22.0',
      workload: 'full',
      batchSize: 10,
      differences: '',
      comparison: compare({ steps: 1, ours: [5], theirs: [16_000] }),
      losses: { ours: 2.3, theirs: 2.3 },
      report,
      wasmRefusal: "Kernel 'Conv2DBackpropFilter' not registered",
    },
    jax: null,
    memory: {
      report,
      peakBytes: { oneBatch: 2e8, cifar10: 5e8 },
      startup: { repeats: 3, importMs: ms, fromImportMs: ms, fromProcessMs: ms, firstStepMs: ms },
    },
  };

  it('draws a bar for every comparison, as well-formed XML', () => {
    const svg = peersSvg(result);
    expect(svg.match(/>0\.55<\/text>/g)).toHaveLength(4);
    expect(svg).toContain('A &lt;fast&gt; one');
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    expect(() => peersSvg({ ...result, networks: [], kernels: null })).toThrow(
      'the file has no comparison with PyTorch',
    );
  });

  it('writes the table between the markers, as the formatter wants it', async () => {
    const content = peersMarkdown(result, '../bench/results/peers.svg', 'bench/results/peers.json');
    const document = replaceBetween(
      '# Title\n\n<!-- peers -->\nold\n<!-- /peers -->\n\nafter\n',
      'peers',
      content,
    );
    expect(document).not.toContain('old');
    expect(document).toContain(
      '| Caffe full, batch 100 |          5.50 |             10.0 |                  0.55 | 0.53 … 0.57 |',
    );
    expect(document).toContain('takes 3,200 times as long for a step of Caffe full at batch 10');
    expect(document).toContain(
      'cyclegrad 0.1.0 (commit abcdef0123) on Node 20, and PyTorch 1.13 with OpenBLAS and jemalloc, in the faster of',
    );
    expect(document).toContain('Not measured: @jax-js/jax: not installed.');
    expect(replaceBetween(document, 'peers', content)).toBe(document);
    expect(await check(document, { parser: 'markdown', printWidth: 110, singleQuote: true })).toBe(true);
    expect(() => replaceBetween('no markers', 'peers', content)).toThrow(
      'the document has no <!-- peers -->',
    );
  });
});
