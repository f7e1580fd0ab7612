import { execFileSync } from 'node:child_process';

/** The first Python with PyTorch. Undefined without one. */
export const python = ['python3', '/usr/bin/python3'].find((program) => {
  const finds = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)";
  try {
    execFileSync(program, ['-c', finds], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});
