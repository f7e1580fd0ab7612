// Tensors: build an expression, differentiate it, and read its values.
// Expressions are computed only when their values are read.
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
// Before the values are read, because a computed tensor becomes a constant.
const [da] = grad(loss, [a]);

await product.print();
console.log('loss', await loss.array());
await da.print(); // 2 · product · bᵀ

// A wrong shape throws at the line of the operation, before anything runs.
try {
  a.matmul(tensor([[1, 2, 3]]));
} catch (error) {
  console.log(String(error));
}
