// Sums over SPLIT neighbouring threads, through workgroup memory: on every device.
// Constants: SPLIT (a power of two), PARTS (the memory: threads of the workgroup, or 1 without SPLIT).
struct Thread {
  @builtin(local_invocation_index) index: u32,
}

var<workgroup> parts: array<vec4f, PARTS>;

fn threadIndex(thread: Thread) -> u32 {
  return thread.index;
}

fn neighbourSum(v: vec4f, thread: Thread) -> vec4f {
  if (SPLIT == 1u) {
    return v;
  }
  parts[thread.index] = v;
  workgroupBarrier();
  let first = thread.index - thread.index % SPLIT;
  var sum = vec4f(0.0);
  for (var i = 0u; i < SPLIT; i++) { // @unroll
    sum += parts[first + i];
  }
  workgroupBarrier();
  return sum;
}
