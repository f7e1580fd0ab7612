import { execFileSync } from 'node:child_process';

/** The first Python that finds the modules, or the one of CYCLEGRAD_PYTHON if it does. Undefined without one. */
export function pythonWith(...modules: readonly string[]): string | undefined {
  const named = process.env['CYCLEGRAD_PYTHON'];
  const programs = named === undefined ? ['python3', '/usr/bin/python3'] : [named];
  const finds = `import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in ${JSON.stringify(modules)}))`;
  return programs.find((program) => {
    try {
      execFileSync(program, ['-c', finds], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

/** The first Python with PyTorch. */
export const python = pythonWith('torch');
