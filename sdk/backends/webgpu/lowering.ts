import { fuse, plan, type FuseOptions, type Graph, type Plan } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import { Context } from './context.ts';
import type { Device } from './device.ts';
import type { Dispatch } from './dispatch.ts';
import { ALIGNMENT, TensorLayout, type ParamSlot } from './layout.ts';
import { lower, scratchEnd } from './lower.ts';
import type { Choice, Product } from './tiles.ts';

/** What compiling may choose; nothing of it changes results beyond rounding. */
export interface LoweringChoices {
  readonly norm: FuseOptions['norm'];
  readonly maxFlops: number;
  readonly headWords: number;
  choose?(product: Product): Choice;
}

/** A model fused, planned and cut into dispatches for the limits of a device; needs no GPU. */
export class Lowering {
  readonly layout: TensorLayout;
  readonly plan: Plan;
  readonly once: readonly Dispatch[];
  readonly perStep: readonly Dispatch[];

  constructor(
    device: Pick<Device, 'storage' | 'maxBuffer' | 'maxBinding'>,
    graph: Graph,
    slots: ReadonlyMap<string, ParamSlot>,
    options: LoweringChoices,
  ) {
    const fused = fuse(graph, { norm: options.norm });
    this.layout = new TensorLayout(graph, fused, device.storage);
    for (const { out } of fused.steps)
      if (this.layout.bytes(out) > device.maxBuffer)
        throw new SDError(
          'OUT_OF_MEMORY',
          `a tensor of [${out.shape}] is larger than this device's largest buffer; ` +
            'use a smaller picture or decode in tiles',
        );
    this.plan = plan(fused, {
      elementBytes: (t) => this.layout.bytes(t),
      alignment: ALIGNMENT,
      segmentBytes: device.maxBuffer,
    });
    const context = new Context({
      layout: this.layout,
      offset: (t) => this.plan.offset(t),
      slot: (param) => {
        const slot = slots.get(param.name);
        if (!slot) throw new SDError('INTERNAL', `no weights were made for ${param.name}`);
        return slot;
      },
      maxBinding: device.maxBinding,
      maxFlops: options.maxFlops,
      headWords: options.headWords,
      choose: options.choose,
    });
    this.once = this.plan.once.flatMap((step) => lower(step, context));
    this.perStep = this.plan.perStep.flatMap((step) => lower(step, context));
  }
}

/** What all dispatches share, one after another, for what lives within one step only. */
export function scratchBytes(dispatches: readonly Dispatch[]): number {
  return dispatches.reduce((most, d) => Math.max(most, ...d.operands.map(scratchEnd)), 0);
}
