import { parseSchedule } from './schedule-grammar.ts';
import type { ScheduleNode } from './schedule-grammar.ts';
import { SPACE, WORD } from '../../tokenizer/python-regex.ts';

/** A text, and the last step (counted from 1) that uses it. */
export interface ScheduledText {
  until: number;
  text: string;
}

/**
 * Spells a prompt with `[from:to:when]`, `[to:when]`, `[from::when]` and `[a|b|…]` out into the
 * texts it stands for and the steps they end at (behaviour of A1111's
 * `get_learned_conditioning_prompt_schedules`).
 *
 * `when` with a decimal point is a fraction of `steps`, otherwise a number of steps. A prompt that the
 * grammar cannot read, one with a `|` outside of brackets, is taken as it is.
 * @param steps sampling steps
 * @param before steps of the pass before this one, in a second pass; there whole numbers count on from
 * them and fractions go from 1 to 2.
 */
export function promptSchedule(prompt: string, steps: number, before?: number): ScheduledText[] {
  const nodes = parseSchedule(prompt);
  if (!nodes) return [{ until: steps, text: prompt }];
  const timing: Timing = {
    steps,
    wholeOffset: before ?? 0,
    fractionOffset: before === undefined ? 0 : 1,
  };
  const ends = new Set([steps]);
  collectEnds(nodes, timing, ends);
  return [...ends]
    .sort((a, b) => a - b)
    .map((until) => ({ until, text: textAt(nodes, until, timing) }));
}

interface Timing {
  steps: number;
  wholeOffset: number;
  fractionOffset: number;
}

function lastStepBefore(when: string, { steps, wholeOffset, fractionOffset }: Timing): number {
  const value = Number(when);
  const step = when.includes('.') ? (value - fractionOffset) * steps : value - wholeOffset;
  return Math.min(steps, Math.trunc(step));
}

function collectEnds(nodes: ScheduleNode[], timing: Timing, ends: Set<number>): void {
  for (const node of nodes) {
    if (typeof node === 'string') continue;
    if (node.kind === 'switch') {
      const end = lastStepBefore(node.when, timing);
      if (end >= 1) ends.add(end);
      collectEnds(node.before, timing, ends);
      collectEnds(node.after, timing, ends);
    } else {
      for (let step = 1; step <= timing.steps; step++) ends.add(step);
      for (const option of node.options) collectEnds(option, timing, ends);
    }
  }
}

function textAt(nodes: ScheduleNode[], step: number, timing: Timing): string {
  return nodes
    .map((node) => {
      if (typeof node === 'string') return node;
      if (node.kind === 'alternate') {
        return textAt(node.options[(step - 1) % node.options.length], step, timing);
      }
      const isBefore = step <= lastStepBefore(node.when, timing);
      return textAt(isBefore ? node.before : node.after, step, timing);
    })
    .join('');
}

/**
 * Which entry of a schedule the UNet's call number `call` (counted from 0) uses. As in A1111, the
 * first entry whose `until` is not below it: an entry that ends at step 3 serves calls 0 to 3.
 */
export function scheduledIndex(schedule: readonly { until: number }[], call: number): number {
  return Math.max(
    0,
    schedule.findIndex(({ until }) => call <= until),
  );
}

/** One of the prompts that `AND` joins. */
export interface ComposedPrompt {
  text: string;
  weight: number;
}

const AND = new RegExp(`(?<!${WORD})AND(?!${WORD})`, 'u');
const WEIGHT = new RegExp(
  `^([^]*?)(?:${SPACE}*:${SPACE}*([-+]?(?:[0-9]+\\.?|[0-9]*\\.[0-9]+)))?${SPACE}*$`,
  'u',
);

/**
 * Splits `a AND b :1.5` into its prompts and their weights, 1 where none is given (behaviour of
 * A1111's `get_multicond_prompt_list`). Each is then scheduled by itself; the guided prediction is
 * the unconditional one plus Σ weight · scale · (conditional − unconditional).
 */
export function splitComposed(prompt: string): ComposedPrompt[] {
  return prompt.split(AND).map((part) => {
    const match = WEIGHT.exec(part);
    if (!match) return { text: part, weight: 1 };
    return { text: match[1], weight: match[2] === undefined ? 1 : Number(match[2]) };
  });
}
