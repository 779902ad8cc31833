// Adds the parts that gemmSplit made and runs the epilogue; one thread per output word.
fn total(row: u32, n4: u32) -> vec4f {
  let rows = u.rowEnd - u.rowBegin;
  var sum = vec4f(0.0);
  for (var split = 0u; split < u.splits; split++) {
    sum += partials[(split * rows + row) * u.columns4 + n4];
  }
  return sum;
}

@compute @workgroup_size(THREADS)
fn gemmReduce(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  let row = i / u.n4;
  let n4 = i % u.n4;
  if (u.rowBegin + row >= u.rowEnd) {
    return;
  }
  if (GEGLU) {
    finishGated(total(row, n4), total(row, u.n4 + n4), u.rowBegin + row, n4);
  } else {
    finish(total(row, n4), u.rowBegin + row, n4);
  }
}
