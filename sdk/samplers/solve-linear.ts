/** The solution of a small square linear system, by elimination with partial pivoting. */
export function solveLinear(
  rows: readonly (readonly number[])[],
  right: readonly number[],
): number[] {
  const work = rows.map((row, i) => [...row, right[i]]);
  const size = work.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column + 1; row < size; row++) {
      if (Math.abs(work[row][column]) > Math.abs(work[pivot][column])) pivot = row;
    }
    [work[column], work[pivot]] = [work[pivot], work[column]];
    for (let row = 0; row < size; row++) {
      if (row === column) continue;
      const factor = work[row][column] / work[column][column];
      work[row] = work[row].map((value, k) => value - factor * work[column][k]);
    }
  }
  return work.map((row, i) => row[size] / row[i]);
}
