import type { Step } from '../../graph/index.ts';
import type { Context } from './context.ts';
import { float, grid, type Dispatch, type Operand } from './dispatch.ts';
import { alignUp, wordBytes } from './layout.ts';
import { lowerAttention } from './lower-attention.ts';
import { lowerGemm } from './lower-gemm.ts';
import { lowerGroupNorm, lowerLayerNorm, lowerStats } from './lower-norm.ts';
import {
  lowerActivation,
  lowerAdd,
  lowerEmbed,
  lowerGeglu,
  lowerJoin,
  lowerSelectRow,
  lowerSinusoid,
  lowerUpsample,
} from './lower-pointwise.ts';

/** The dispatches that run one step of a fused graph. */
export function lower({ op, out }: Step, context: Context): Dispatch[] {
  switch (op.kind) {
    case 'input':
      return [];
    case 'gemm':
      return apart(lowerGemm(op, out, context), context);
    case 'attention':
      return apart(lowerAttention(op, out, context), context);
    case 'normStats':
      return apart(lowerStats(op, context.whole(out), context), context);
    case 'groupNorm':
      return apart(lowerGroupNorm(op, out, context), context);
    case 'layerNorm':
      return lowerLayerNorm(op, out, context);
    case 'activation':
    case 'scale':
      return lowerActivation(op.x, op, out, context);
    case 'geglu':
      return lowerGeglu(op, out, context);
    case 'add':
      return apart(lowerAdd(op, out, context), context);
    case 'concat':
      return apart(lowerJoin(op.a, op.b, out, context), context);
    case 'upsample':
      return lowerUpsample(op, out, context);
    case 'embed':
      return lowerEmbed(op, out, context);
    case 'sinusoid':
      return lowerSinusoid(op, out, context);
    case 'selectRow':
      return lowerSelectRow(op, out, context);
  }
}

/**
 * Two writable bindings of one dispatch may not overlap, even where both are only read. An operand
 * that an op takes twice (x + x, a residual that is also the input) is copied first.
 */
function apart(dispatches: readonly Dispatch[], context: Context): Dispatch[] {
  return dispatches.flatMap((dispatch) => {
    const copies: Dispatch[] = [];
    let free = Math.max(0, ...dispatch.operands.map(scratchEnd));
    const operands = dispatch.operands.map((operand, i) => {
      if (!dispatch.operands.slice(0, i).some((other) => overlaps(operand, other))) return operand;
      if (operand.from !== 'arena') return operand;
      const copy: Operand = { from: 'scratch', offset: free, size: operand.size };
      free += alignUp(operand.size);
      const words = operand.size / wordBytes(context.layout.storage);
      copies.push({
        kernel: 'activation',
        constants: { FN: 0, SPREAD: false },
        operands: [operand, copy],
        uniforms: [0, words, 0, 0, 0, 0, 0, float(1)],
        grid: grid(Math.ceil(words / 64)),
        flops: 0,
        bytes: 2 * operand.size,
      });
      return copy;
    });
    return copies.length === 0 ? [dispatch] : [...copies, { ...dispatch, operands }];
  });
}

/** Where the part of the scratch buffer that an operand takes ends. */
export function scratchEnd(operand: Operand): number {
  return operand.from === 'scratch' ? alignUp(operand.offset + operand.size) : 0;
}

function overlaps(a: Operand, b: Operand): boolean {
  return (
    a.from === 'arena' &&
    b.from === 'arena' &&
    a.offset < b.offset + b.size &&
    b.offset < a.offset + a.size
  );
}
