// Sums over SPLIT neighbouring threads of a subgroup, which is no smaller: no barriers. Threads are
// numbered along their subgroups, since nothing says that `local_invocation_index` is.
// Constants: SPLIT (a power of two).
struct Thread {
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
}

fn threadIndex(thread: Thread) -> u32 {
  return thread.subgroup * thread.size + thread.lane;
}

fn neighbourSum(v: vec4f, thread: Thread) -> vec4f {
  var sum = v;
  for (var far = 1u; far < SPLIT; far *= 2u) {
    sum += subgroupShuffleXor(sum, far);
  }
  return sum;
}
