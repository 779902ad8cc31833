// Sums over a workgroup of WIDTH threads where the device has subgroups: one barrier instead of one
// for each halving.
struct Thread {
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
}

// No device's subgroups are smaller than four.
var<workgroup> slots: array<vec4f, WIDTH / 4u>;

fn workgroupSum(v: vec4f, thread: Thread) -> vec4f {
  let part = subgroupAdd(v);
  workgroupBarrier();
  if (subgroupElect()) {
    slots[thread.subgroup] = part;
  }
  workgroupBarrier();
  var sum = slots[0];
  for (var i = 1u; i < thread.subgroups; i++) {
    sum += slots[i];
  }
  return sum;
}
