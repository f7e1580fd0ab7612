/** The packages that an installation adds: documented, with known licenses, and without scripts that run at the installation. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly peer?: boolean;
}

const { dependencies } = JSON.parse(read('package.json')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const { packages } = JSON.parse(read('package-lock.json')) as {
  readonly packages: Readonly<Record<string, Locked>>;
};
const installed = Object.entries(packages).filter(
  ([path, { dev, optional, devOptional, peer }]) =>
    path !== '' && [dev, optional, devOptional, peer].every((flag) => flag !== true),
);

/** The binaries of sharp, of which those for the platform are installed. */
const binaries = Object.entries(packages).filter(([path]) => path.startsWith('node_modules/@img/'));

/** Licenses that allow any use, with attribution. */
const LICENSES = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', '0BSD', '(MIT AND Zlib)'];

describe('docs/dependencies.md', () => {
  const page = read('docs/dependencies.md');
  const rows = [...page.matchAll(/^\| `([^`]+)` +\| (\S+) +\| (\S+) +\|/gm)].map(([, ...cells]) => cells);

  it('has the packages of package.json, with their ranges', () => {
    expect(Object.fromEntries(rows.map(([name, range]) => [name, range]))).toEqual(dependencies);
  });

  it('has their licenses', () => {
    const locked = rows.map(([name]) => [name, packages[`node_modules/${name}`].license]);
    expect(rows.map(([name, , license]) => [name, license])).toEqual(locked);
  });

  it('counts all that are installed', () => {
    expect(page).toContain(`(${installed.length} in all)`);
  });
});

it('every dependency is in the lock file of the installation', () => {
  const paths = installed.map(([path]) => path);
  for (const name of Object.keys(dependencies)) expect(paths).toContain(`node_modules/${name}`);
});

it.each(binaries)('%s has a checksum, documented licenses and no install script', (_, locked) => {
  expect(locked.integrity).toMatch(/^sha512-/);
  for (const license of locked.license!.split(' AND ')) {
    expect([...LICENSES, 'LGPL-3.0-or-later']).toContain(license);
  }
  expect(locked.hasInstallScript ?? false).toBe(false);
});

it.each(installed)('%s has a checksum, a known license and no install script', (_, locked) => {
  expect(locked.integrity).toMatch(/^sha512-/);
  expect(LICENSES).toContain(locked.license);
  expect(locked.hasInstallScript ?? false).toBe(false);
});
