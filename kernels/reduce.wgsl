// Sums over a workgroup of WIDTH threads, through workgroup memory: on every device.
struct Thread {
  @builtin(local_invocation_index) index: u32,
}

var<workgroup> slots: array<vec4f, WIDTH>;

fn workgroupSum(v: vec4f, thread: Thread) -> vec4f {
  workgroupBarrier();
  slots[thread.index] = v;
  workgroupBarrier();
  for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
    if (thread.index < half) {
      slots[thread.index] += slots[thread.index + half];
    }
    workgroupBarrier();
  }
  return slots[0];
}
