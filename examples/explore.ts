// Tensors by hand: build an expression, differentiate it, look at it. Nothing is computed before somebody looks.
import { grad, tensor } from 'cyclegrad';

const a = tensor([
  [1, 2],
  [3, 4],
]);
const b = tensor([
  [0.5, -1],
  [2, 0],
]);

const product = a.matmul(b).add(1);
const loss = product.pow(2).sum();
// Before anything is looked at: a tensor that has been computed is a constant from then on.
const [da] = grad(loss, [a]);

await product.print();
console.log('loss', await loss.array());
await da.print(); // twice the product, times b transposed

// Shapes are checked on the line that gets them wrong, before anything runs.
try {
  a.matmul(tensor([[1, 2, 3]]));
} catch (error) {
  console.log(String(error));
}
