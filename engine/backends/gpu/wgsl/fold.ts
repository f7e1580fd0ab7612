/** More workgroups than one axis of a dispatch allows. */

/** The most workgroups along one axis in every WebGPU implementation. */
const MAX_WORKGROUPS = 65535;

/**
 * `count` workgroups folded into two axes, and the text in `main` that computes a workgroup's number: it needs
 * `group: vec3<u32>`, defines `number`, and returns from workgroups beyond the count.
 */
export function foldWorkgroups(count: number): {
  readonly workgroups: readonly [number, number, number];
  readonly number: string;
} {
  if (count <= MAX_WORKGROUPS) return { workgroups: [count, 1, 1], number: 'let number = group.x;' };
  const rows = Math.ceil(count / MAX_WORKGROUPS);
  const columns = Math.ceil(count / rows);
  return {
    workgroups: [columns, rows, 1],
    number: `let number = group.y * ${columns}u + group.x;\n  if (number >= ${count}u) { return; }`,
  };
}
