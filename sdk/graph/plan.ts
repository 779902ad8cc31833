import type { FusedGraph, Step } from './fuse.ts';
import { inputsOf } from './ops.ts';
import type { Tensor } from './tensor.ts';

export interface PlanOptions {
  /** Bytes of one element of an activation, or of a whole tensor where an engine pads its rows. */
  readonly elementBytes: number | ((t: Tensor) => number);
  /** Every tensor starts at a multiple of this many bytes. */
  readonly alignment: number;
  /**
   * Where an arena must be cut into buffers: no tensor reaches across a multiple of this many bytes.
   * A tensor larger than that starts at one. Default: one buffer of any size.
   */
  readonly segmentBytes?: number;
}

/**
 * Where every activation of a model lies in one arena. Steps of `once` depend on inputs of that
 * rate alone and run when those change (once per prompt); `perStep` runs for every denoising step.
 */
export interface Plan {
  readonly once: readonly Step[];
  readonly perStep: readonly Step[];
  /** Bytes from the arena's start. Views share the offset of the tensor they view. */
  offset(t: Tensor): number;
  readonly arenaBytes: number;
  /** Most bytes alive at one moment: no layout can be smaller than this. */
  readonly liveBytes: number;
}

interface Block {
  readonly id: number;
  readonly bytes: number;
  /** First and last step, inclusive, at which the block holds something. */
  readonly from: number;
  to: number;
  offset: number;
}

/**
 * Lays all activations in one arena. Greedy by size (Pisarchyk & Lee 2020, "Efficient memory
 * management for deep neural net inference"): the largest tensor first, each at the lowest gap
 * that no tensor alive at the same time reaches into.
 */
export function plan(graph: FusedGraph, options: PlanOptions): Plan {
  const isOnce = new Set<number>();
  for (const { op, out } of graph.steps) {
    const once =
      op.kind === 'input'
        ? op.rate === 'once'
        : inputsOf(op).every((t) => isOnce.has(graph.storage(t).id));
    if (once) isOnce.add(out.id);
  }
  const once = graph.steps.filter(({ out }) => isOnce.has(out.id));
  const perStep = graph.steps.filter(({ out }) => !isOnce.has(out.id));
  const order = [...once, ...perStep];

  const { elementBytes, alignment, segmentBytes = Infinity } = options;
  const bytesOf =
    typeof elementBytes === 'number' ? (t: Tensor) => t.size * elementBytes : elementBytes;
  const blocks = new Map<number, Block>();
  order.forEach(({ op, out }, time) => {
    // Inputs may be written before the first step of their part runs, so they exist from its start.
    const from = op.kind !== 'input' ? time : isOnce.has(out.id) ? 0 : once.length;
    const bytes = align(bytesOf(out), alignment);
    blocks.set(out.id, { id: out.id, bytes, from, to: time, offset: 0 });
    for (const t of inputsOf(op)) extend(blocks, graph.storage(t), time);
  });
  const end = order.length - 1;
  for (const t of graph.outputs.values()) extend(blocks, graph.storage(t), end);
  // What `perStep` reads of `once` must survive every step, so nothing may take its place.
  for (const { op } of perStep)
    for (const t of inputsOf(op))
      if (isOnce.has(graph.storage(t).id)) extend(blocks, graph.storage(t), end);
  // A step's inputs stay readable for all of it: the next step rewrites only what changed.
  for (const { op, out } of order) if (op.kind === 'input') extend(blocks, out, end);

  const arenaBytes = layOut([...blocks.values()], segmentBytes);
  const offset = (t: Tensor): number => {
    const block = blocks.get(graph.storage(t).id);
    if (!block) throw new Error(`tensor ${t.id} [${t.shape}] is no part of this plan`);
    return block.offset;
  };
  return { once, perStep, offset, arenaBytes, liveBytes: peak([...blocks.values()], order.length) };
}

function extend(blocks: Map<number, Block>, t: Tensor, time: number): void {
  const block = blocks.get(t.id);
  if (!block) throw new Error(`tensor ${t.id} [${t.shape}] is read before it is made`);
  block.to = Math.max(block.to, time);
}

function layOut(blocks: Block[], segmentBytes: number): number {
  const laid: Block[] = [];
  let total = 0;
  blocks.sort((a, b) => b.bytes - a.bytes || a.from - b.from);
  for (const block of blocks) {
    let offset = 0;
    for (const other of laid) {
      if (other.to < block.from || other.from > block.to) continue;
      if (offset + block.bytes <= other.offset) break;
      offset = within(Math.max(offset, other.offset + other.bytes), block.bytes, segmentBytes);
    }
    block.offset = offset;
    total = Math.max(total, offset + block.bytes);
    const at = laid.findIndex((other) => other.offset > offset);
    laid.splice(at < 0 ? laid.length : at, 0, block);
  }
  return total;
}

/** The first offset from here at which a block of these bytes does not reach across a segment. */
function within(offset: number, bytes: number, segment: number): number {
  const left = segment - (offset % segment);
  return left < segment && bytes > left ? offset + left : offset;
}

function peak(blocks: Block[], steps: number): number {
  const change = new Float64Array(steps + 1);
  for (const { from, to, bytes } of blocks) {
    change[from] += bytes;
    change[to + 1] -= bytes;
  }
  let live = 0;
  let most = 0;
  for (const bytes of change) most = Math.max(most, (live += bytes));
  return most;
}

function align(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}
