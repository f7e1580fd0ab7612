/** How a failed check stops the steps after it on the device: modules read a flag first, which gates write. */
import { BackendError } from '../../../errors.ts';
import type { BufferId, BufferPart, KernelModule } from '../kernel.ts';

const whole = (buffer: BufferId): BufferPart => ({ buffer, part: 0 });

/** The same module, which does nothing once a check has failed. */
export function withGuard(module: KernelModule, failed: BufferId): KernelModule {
  const binding = `@group(0) @binding(${module.bindings.length}) var<storage, read> failed : array<f32>;\n`;
  const code = module.code.replace(
    /fn main\([^{]*\{/,
    (head) => `${head}\n  if (failed[0] >= 0.0) { return; }`,
  );
  if (code === module.code) throw new BackendError(`gpu: there is no 'fn main(' to guard:\n${module.code}`);
  return { ...module, code: binding + code, bindings: [...module.bindings, whole(failed)] };
}

/** Modules that write the number of the first failed check to the flag. */
export function gatesOf(reports: readonly BufferId[], failed: BufferId, maxBuffers: number): KernelModule[] {
  const each = maxBuffers - 1;
  return Array.from({ length: Math.ceil(reports.length / each) }, (_, i) => {
    const group = reports.slice(i * each, (i + 1) * each);
    const code = [
      ...group.map((__, j) => `@group(0) @binding(${j}) var<storage, read> report${j} : array<f32>;`),
      `@group(0) @binding(${group.length}) var<storage, read_write> failed : array<f32>;`,
      '@compute @workgroup_size(1)',
      'fn main() {',
      '  if (failed[0] >= 0.0) { return; }',
      ...group.map((__, j) => `  if (report${j}[0] >= 0.0) { failed[0] = ${i * each + j}.0; return; }`),
      '}',
    ].join('\n');
    return { name: 'gate', code, bindings: [...group, failed].map(whole), workgroups: [1, 1, 1] };
  });
}
