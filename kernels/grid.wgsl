// The range of words that a dispatch of a pointwise kernel makes, one per thread. Words are counted
// from the tensor's start; the bindings begin at the words named `…Origin`.
const THREADS = 64u;

fn wordIndex(group: vec3u, groups: vec3u, thread: u32) -> u32 {
  return (group.y * groups.x + group.x) * THREADS + thread;
}
