// The packed package in projects of Jest, Vitest and Next.js.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bin, COMPUTES, computed, folder, isInstalled, packaged, run } from './packaged.ts';

const skipped = (name: string): string =>
  packaged(folder === '' || isInstalled(name) ? name : `${name}, skipped: it is not installed`);

/** Writes a project into a folder of its own and returns the path. */
function project(name: string, files: Readonly<Record<string, string>>): string {
  const dir = join(folder, name);
  rmSync(dir, { recursive: true, force: true });
  for (const [path, text] of Object.entries({ 'package.json': '{ "type": "module" }', ...files })) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

const TEST = `
import { result } from './main.mjs';
test('computes on two threads', () => {
  expect(result.executor).toBe('team of 2 workers');
  expect(result.method).toBe('function');
});
`;

describe('a project that uses the packed package', () => {
  it.skipIf(!isInstalled('jest'))(`${skipped('jest')}`, { timeout: 60_000 }, async () => {
    const cwd = project('with-jest', { 'main.mjs': COMPUTES, 'engine.test.mjs': TEST });
    const args = ['--rootDir', '.', '--testMatch', '**/*.test.mjs', '--forceExit'];
    const env = { NODE_OPTIONS: '--experimental-vm-modules' };
    await expect(run(bin('jest'), args, { cwd, env })).resolves.toBeTypeOf('string');
  });

  it.skipIf(!isInstalled('vitest'))(`${skipped('vitest')}`, { timeout: 60_000 }, async () => {
    const cwd = project('with-vitest', {
      'main.mjs': COMPUTES,
      'engine.test.mjs': `import { expect, test } from 'vitest';\n${TEST}`,
    });
    expect(await run(bin('vitest'), ['run', '--root', '.'], { cwd })).toContain('1 passed');
  });

  it.skipIf(!isInstalled('next'))(`${skipped('next')}`, { timeout: 300_000 }, async () => {
    const cwd = project('with-next', {
      'main.mjs': COMPUTES,
      'app/layout.jsx': 'export default ({ children }) => <html lang="en"><body>{children}</body></html>;\n',
      'app/page.jsx': `'use client';
import { useState } from 'react';
export default function Page() {
  const [text, setText] = useState('');
  const compute = async () => setText(JSON.stringify((await import('../main.mjs')).result));
  return <button onClick={compute}>{text}</button>;
}
`,
      'app/result.json/route.js': `
export async function GET() {
  const { result } = await import('../../main.mjs');
  return Response.json(result);
}
export const dynamic = 'force-static';
`,
      'next.config.mjs': "export default { output: 'export' };\n",
    });
    // A static export runs the route in Node while it builds and writes the result.
    await run(bin('next'), ['build'], { cwd, env: { NEXT_TELEMETRY_DISABLED: '1' } });
    const output = readFileSync(join(cwd, 'out/result.json'), 'utf8');
    expect(JSON.parse(output)).toEqual(await computed());
  });
});
