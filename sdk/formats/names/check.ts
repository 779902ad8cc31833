import { SDError } from '../../errors.ts';
import { sameShape } from '../../graph/tensor.ts';
import { isIgnorable } from '../../weights/check.ts';
import { isWeightDType, type TensorInfo } from '../../weights/tensor.ts';

const LISTED = 12;

/**
 * Compares the tensors of a file with a model's own table, before any of them is read.
 *
 * @param what names the model and the file in the message.
 * @throws SDError WEIGHTS_MISMATCH that names every missing and extra tensor and every wrong shape
 *   and dtype (the first twelve of each kind).
 */
export function checkTensors(
  what: string,
  table: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  tensors: ReadonlyMap<string, TensorInfo>,
): void {
  const missing: string[] = [];
  const shapes: string[] = [];
  const dtypes: string[] = [];
  for (const [name, { shape }] of table) {
    const info = tensors.get(name);
    if (!info) missing.push(name);
    else {
      if (!sameShape(shape, info.shape))
        shapes.push(`${name} is [${info.shape}], must be [${shape}]`);
      if (!isWeightDType(info.dtype)) dtypes.push(`${name} is ${info.dtype}`);
    }
  }
  const extra = [...tensors.keys()].filter((name) => !table.has(name) && !isIgnorable(name));

  const problems = [
    list('missing', missing),
    list('not of this model', extra),
    list('of a wrong shape', shapes),
    list('of a dtype that holds no weights', dtypes),
  ].filter((problem) => problem !== '');
  if (problems.length > 0)
    throw new SDError(
      'WEIGHTS_MISMATCH',
      `The weights of ${what} do not fit its config. ${problems.join(' ')} ` +
        'Check that the weights and the config are of the same model.',
    );
}

function list(title: string, items: readonly string[]): string {
  if (items.length === 0) return '';
  const more = items.length > LISTED ? `, and ${items.length - LISTED} more` : '';
  return `${items.length} ${title}: ${items.slice(0, LISTED).join(', ')}${more}.`;
}
