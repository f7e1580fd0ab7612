/** Loops over windows of an image, as text. Threads are [channel, position, image], where a position is y · width + x. */

/** The windows of a convolution or a pool. */
export interface Windows {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly pad: readonly number[];
  readonly input: readonly number[];
  readonly output: readonly number[];
  /** Distance from one tap to the next. Default 1. */
  readonly dilation?: readonly number[];
}

export const inImage = (coordinate: string, size: number): string =>
  `${coordinate} >= 0 && ${coordinate} < ${size}`;

/** Row and column of this thread's position among rows of `width`. */
export const rowAndColumn = (width: number): string =>
  `const row = quotient(Y, ${width});\nconst column = Y - row * ${width};`;

/** Loops over the taps of a thread's output that lie inside the image, with their positions. */
export function forEachTap(
  { kernel, stride, pad, input, output, dilation = [1, 1] }: Windows,
  inner: (tap: string, position: string) => string,
): string {
  return `${rowAndColumn(output[1])}
    for (let ky = 0; ky < ${kernel[0]}; ky++) {
      const iy = row * ${stride[0]} - ${pad[0]} + ky * ${dilation[0]};
      if (${inImage('iy', input[0])}) {
        for (let kx = 0; kx < ${kernel[1]}; kx++) {
          const ix = column * ${stride[1]} - ${pad[2]} + kx * ${dilation[1]};
          if (${inImage('ix', input[1])}) {
            const position = iy * ${input[1]} + ix;
            ${inner(`ky * ${kernel[1]} + kx`, 'position')}
          }
        }
      }
    }`;
}

/** Loops over the windows that contain a thread's input position, with the tap at that position. */
export function forEachWindow(
  { kernel, stride, pad, input, output, dilation = [1, 1] }: Windows,
  inner: (window: string, tap: string) => string,
): string {
  const divided = (offset: string, step: number): string =>
    step === 1 ? offset : `quotient(${offset}, ${step})`;
  return `${rowAndColumn(input[1])}
    for (let ky = 0; ky < ${kernel[0]}; ky++) {
      const ty = row + ${pad[0]} - ky * ${dilation[0]};
      if (ty >= 0) {
        const oy = ${divided('ty', stride[0])};
        if (oy * ${stride[0]} === ty && oy < ${output[0]}) {
          for (let kx = 0; kx < ${kernel[1]}; kx++) {
            const tx = column + ${pad[2]} - kx * ${dilation[1]};
            if (tx >= 0) {
              const ox = ${divided('tx', stride[1])};
              if (ox * ${stride[1]} === tx && ox < ${output[1]}) {
                const window = oy * ${output[1]} + ox;
                ${inner('window', `ky * ${kernel[1]} + kx`)}
              }
            }
          }
        }
      }
    }`;
}
