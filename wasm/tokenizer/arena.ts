// One bump arena over the whole linear memory: tables below `mark`, the scratch of one call above it.
// The scratch is taken afresh by every call, so memory grows to the largest call and stays there.

let top: usize = __heap_base;
let mark: usize = __heap_base;

/** Everything allocated so far stays for good. */
export function keep(): void {
  mark = top;
}

/** Frees all that was allocated since `keep`. */
export function release(): void {
  top = mark;
}

export function allocate(bytes: usize): usize {
  const pointer = (top + 7) & ~7;
  const end = pointer + bytes;
  const pages = memory.size();
  const wanted = (end + 0xffff) >>> 16;
  // A failed growth must not let a store run past the end and be taken for success.
  if (end < pointer || (wanted > <usize>pages && memory.grow(<i32>wanted - pages) < 0)) unreachable();
  top = end;
  return pointer;
}

export function clear(pointer: usize, bytes: usize): void {
  memory.fill(pointer, 0, bytes);
}
