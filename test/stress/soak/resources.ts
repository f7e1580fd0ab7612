/** Executables and backends that are opened and closed again and again: nothing must remain of them. */
import { compile, f32, matmul, sum, tensor, wasm, type Backend } from 'cyclegrad';
import { atMost, type Part, type Row } from './part.ts';
import { slopeOfSecondHalf, usage, type Usage } from './usage.ts';

/** Compiles a small program, runs it and closes it. */
async function useOnce(backend: Backend): Promise<void> {
  const ones = tensor([[1], [1], [1]]);
  const program = await compile(backend, {
    inputs: { x: f32(64, 3) },
    build: ({ x }) => ({ outputs: { total: sum(matmul(x, ones)) } }),
  });
  await program.run({ x: new Float32Array(192).fill(1) });
  await program.close();
}

/** Repeats `act` and samples. The first tenth warms up. */
async function repeat(
  what: string,
  count: number,
  act: () => Promise<void>,
  kilobytesEach: number,
): Promise<readonly Row[]> {
  const samples: [number, Usage][] = [];
  for (let i = 0; i < count; i++) {
    await act();
    if (i >= count / 10) samples.push([i, usage()]);
  }
  const [first, last] = [samples[0][1], samples[samples.length - 1][1]];
  const slope = (name: keyof Usage): number =>
    slopeOfSecondHalf(samples.map(([x, sample]) => [x, sample[name]] as const));
  return [
    atMost(`${count} ${what}: RSS each`, slope('rss'), kilobytesEach, ' kB'),
    atMost(`${count} ${what}: heap each`, slope('heap'), kilobytesEach / 10, ' kB'),
    atMost(`${count} ${what}: threads more than at first`, last.threads - first.threads, 0),
    atMost(`${count} ${what}: files more than at first`, last.files - first.files, 0),
    atMost(`${count} ${what}: handles more than at first`, last.handles - first.handles, 0),
  ];
}

export const resources: Part = async ({ executables, backends }, log) => {
  const rows: Row[] = [];
  const backend = await wasm({ threads: 2 });
  rows.push(
    ...(await repeat('executables', executables, () => useOnce(backend), executables < 100 ? 500 : 20)),
  );
  await backend.close();
  log(`${executables} executables done`);
  const openAndClose = async (): Promise<void> => {
    const one = await wasm({ threads: 2 });
    await useOnce(one);
    await one.close();
  };
  rows.push(...(await repeat('backends', backends, openAndClose, backends < 100 ? 2000 : 40)));
  return rows;
};
