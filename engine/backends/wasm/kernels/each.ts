// Several kernels on one image after the other.
import { EachImage, runCall } from "./calls.generated";
import { ownScratch, scratch, firstTask } from "./team";

/**
 * Runs the calls of a program on each image, so the results of one call are still in cache for the next. Every thread has a copy of
 * the program in scratch memory, patched with the addresses of its image.
 */
// @ts-ignore: decorator
@words("images", "scratch: Scratch", "moves: Move[]", "program: Call[]")
export function eachImage(call: EachImage, slice: i32, slices: i32): void {
  const images = call.images;
  const moves = call.moves;
  const program = call.program;
  const bytes = <usize>program.length << 2;
  const own = ownScratch(call.scratch);
  const end = firstTask(images, slice + 1, slices);
  for (let image = firstTask(images, slice, slices); image < end; image++) {
    memory.copy(own, program.start, bytes);
    for (let i = 0; i < moves.length; i++) {
      const move = moves[i];
      const word = own + (<usize>move.word << 2);
      const first = <usize>load<u32>(word) + <usize>image * <usize>move.perImage;
      store<u32>(word, <u32>scratch(first, move.perThread));
    }
    for (let a = own; a < own + bytes; a += <usize>load<i32>(a, 4) << 2) runCall(load<i32>(a), a + 12, 0, 1);
  }
}
