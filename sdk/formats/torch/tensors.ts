import type { SDError } from '../../errors.ts';
import { sizeOf } from '../../graph/tensor.ts';
import { DTYPE_BITS, type DType } from '../../weights/tensor.ts';
import type { PickleHooks } from './pickle.ts';
import { PyExternal, PyGlobal, PyStub, PyTuple, type PyValue } from './python.ts';
import { notTorch } from './zip.ts';

/** A torch storage: a run of elements that tensors are views of. */
export interface StorageRef {
  readonly key: string;
  /** Undefined for an untyped storage, which counts bytes. */
  readonly dtype: DType | undefined;
  readonly count: number;
  /** Elements of the root storage before this one starts (legacy files only). */
  readonly offset: number;
}

/** A tensor as a strided view; offset and strides count elements. */
export interface TensorRef {
  readonly storage: StorageRef;
  readonly dtype: DType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** torch's names: of the dtype, and of the typed storage where there is one. */
const NAMES: readonly (readonly [DType, string, string?])[] = [
  ['F64', 'float64', 'Double'],
  ['F32', 'float32', 'Float'],
  ['F16', 'float16', 'Half'],
  ['BF16', 'bfloat16', 'BFloat16'],
  ['F8_E4M3', 'float8_e4m3fn'],
  ['F8_E5M2', 'float8_e5m2'],
  ['I64', 'int64', 'Long'],
  ['I32', 'int32', 'Int'],
  ['I16', 'int16', 'Short'],
  ['I8', 'int8', 'Char'],
  ['U64', 'uint64'],
  ['U32', 'uint32'],
  ['U16', 'uint16'],
  ['U8', 'uint8', 'Byte'],
  ['BOOL', 'bool', 'Bool'],
  ['C64', 'complex64', 'ComplexFloat'],
];
const DTYPES = new Map(NAMES.map(([dtype, name]) => [`torch.${name}`, dtype]));
const STORAGES = new Map(
  NAMES.filter(([, , name]) => name).map(([dtype, , name]) => [`${name}Storage`, dtype]),
);

/**
 * The only things a checkpoint's pickle can make here besides plain data: storages, tensors and
 * ordered dictionaries. The list is that of torch's own `weights_only` loader.
 */
export const torchHooks: PickleHooks = {
  persistentId(id) {
    if (!(id instanceof PyTuple) || id.items[0] !== 'storage') throw invalid('a foreign id');
    const [, type, key, , count, view] = id.items;
    if (!(type instanceof PyGlobal) || typeof key !== 'string' || !isCount(count))
      throw invalid('a storage without a type, a key or a length');
    const name = type.name.replace(/^torch(\.storage|\.cuda)?\./, '');
    const dtype = STORAGES.get(name);
    if (dtype === undefined && name !== 'UntypedStorage')
      throw invalid(`a storage of unknown type ${type.name}`);
    let offset = 0;
    // Legacy files: (key of the view, offset, size), all in elements of the root storage.
    if (view instanceof PyTuple) {
      if (!isCount(view.items[1])) throw invalid('a view without an offset');
      offset = view.items[1];
    }
    return new PyExternal<StorageRef>({ key, dtype, count, offset });
  },

  call(name, args) {
    switch (name) {
      case 'collections.OrderedDict':
        return orderedDict(args);
      case 'torch._utils._rebuild_tensor_v2':
      case 'torch._utils._rebuild_tensor':
        return rebuild(args, undefined);
      case 'torch._utils._rebuild_tensor_v3': {
        const dtype = args[6] instanceof PyGlobal ? DTYPES.get(args[6].name) : undefined;
        return rebuild(args, dtype);
      }
      case 'torch._utils._rebuild_parameter':
      case 'torch._utils._rebuild_parameter_with_state':
        return args[0];
      case 'torch._tensor._rebuild_from_type_v2': {
        const [make, , inner] = args;
        return make instanceof PyGlobal && inner instanceof PyTuple
          ? torchHooks.call(make.name, inner.items)
          : undefined;
      }
      default:
        return undefined;
    }
  },
};

function orderedDict(args: readonly PyValue[]): PyValue {
  const map = new Map<PyValue, PyValue>();
  // Python 2 hands the pairs to the constructor.
  if (Array.isArray(args[0]))
    for (const pair of args[0]) {
      const items = pair instanceof PyTuple ? pair.items : Array.isArray(pair) ? pair : [];
      if (items.length === 2) map.set(items[0], items[1]);
    }
  return map;
}

function rebuild(args: readonly PyValue[], dtype: DType | undefined): PyValue {
  const [storage, offset, shape, strides] = args;
  const dims = counts(shape);
  const steps = counts(strides);
  if (!(storage instanceof PyExternal) || !isStorage(storage.value) || !isCount(offset))
    throw invalid('a tensor without a storage');
  if (!dims || !steps || dims.length !== steps.length || dims.length > 16)
    throw invalid('a tensor without a shape');
  const ref = storage.value;
  const type = dtype ?? ref.dtype;
  if (type === undefined) throw invalid('a tensor without a dtype');
  const tensor: TensorRef = { storage: ref, dtype: type, offset, shape: dims, strides: steps };
  checkInside(tensor);
  return new PyExternal<TensorRef>(tensor);
}

/** Every element must lie in the storage, and none may be counted often enough to swell memory. */
function checkInside({ storage, dtype, offset, shape, strides }: TensorRef): void {
  const elementBits = DTYPE_BITS.get(dtype)!;
  const held =
    storage.dtype === undefined
      ? Math.floor((storage.count * 8) / elementBits)
      : Math.floor((storage.count * DTYPE_BITS.get(storage.dtype)!) / elementBits);
  const size = sizeOf(shape);
  if (size === 0) return;
  const last = shape.reduce((at, n, i) => at + (n - 1) * strides[i], offset);
  if (!Number.isSafeInteger(last) || last >= held) throw invalid('a tensor beyond its storage');
  if (size > held) throw invalid('a tensor larger than its storage');
}

export function isTensor(value: PyValue): value is PyExternal<TensorRef> {
  return value instanceof PyExternal && 'strides' in (value.value as object);
}

function isStorage(value: unknown): value is StorageRef {
  return typeof value === 'object' && value !== null && 'key' in value && 'count' in value;
}

function isCount(value: PyValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function counts(value: PyValue): number[] | undefined {
  const items = value instanceof PyTuple ? value.items : undefined;
  return items?.every(isCount) ? (items as number[]) : undefined;
}

const MAX_NAMES = 262_144;
const MAX_DEPTH = 4;

/**
 * The tensors of an unpickled checkpoint by their dotted names: its `state_dict` where it has one
 * (nested at most twice), else itself. Values that are no tensors are left out.
 */
export function namedTensors(root: PyValue): {
  tensors: Map<string, TensorRef>;
  numbers: Map<string, string>;
} {
  let top = root;
  const numbers = new Map<string, string>();
  for (let nested = 0; nested < 2 && top instanceof Map; nested++) {
    for (const [key, value] of top)
      if (typeof key === 'string' && typeof value === 'number') numbers.set(key, String(value));
    const inner = top.get('state_dict');
    if (!(inner instanceof Map)) break;
    top = inner;
  }
  const tensors = new Map<string, TensorRef>();
  let seen = 0;
  const walk = (value: PyValue, path: string, depth: number): void => {
    // A dictionary can hold itself, or one other a thousand times.
    if (++seen > MAX_NAMES) throw invalid(`more than ${MAX_NAMES} entries`);
    if (isTensor(value)) tensors.set(path, value.value);
    // nn.ParameterDict, in which old textual inversions keep their vectors.
    else if (value instanceof PyStub && depth < MAX_DEPTH) walk(value.state, path, depth + 1);
    else if (value instanceof Map && depth < MAX_DEPTH)
      for (const [key, item] of value)
        if (typeof key === 'string') walk(item, path === '' ? key : `${path}.${key}`, depth + 1);
  };
  walk(top, '', 0);
  return { tensors, numbers };
}

export function invalid(what: string): SDError {
  return notTorch(`it has ${what}`);
}
