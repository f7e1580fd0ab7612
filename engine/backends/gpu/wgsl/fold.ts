/** Numbers of workgroups beyond what one axis of a dispatch can have. */

/** Workgroups along one axis at the most, in every WebGPU implementation. */
const MOST_WORKGROUPS = 65535;

/**
 * `count` workgroups folded into two axes, and the text that finds a workgroup's own number in `main`: needs
 * `group: vec3<u32>`, defines `number`, and leaves where there is none.
 */
export function foldWorkgroups(count: number): {
  readonly workgroups: readonly [number, number, number];
  readonly number: string;
} {
  if (count <= MOST_WORKGROUPS) return { workgroups: [count, 1, 1], number: 'let number = group.x;' };
  const rows = Math.ceil(count / MOST_WORKGROUPS);
  const columns = Math.ceil(count / rows);
  return {
    workgroups: [columns, rows, 1],
    number: `let number = group.y * ${columns}u + group.x;\n  if (number >= ${count}u) { return; }`,
  };
}
