// AssemblyScript: the most multiply-adds a thread can do, from ten independent chains.

/** `turns` × 80 flops. The result is of no use, but must not be optimised away. */
export function peak(turns: i32): f32 {
  const a = f32x4.splat(1.0001), b = f32x4.splat(0.5);
  let c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, c9 = a;
  for (; turns > 0; turns--) {
    c0 = f32x4.relaxed_madd(c0, a, b); c1 = f32x4.relaxed_madd(c1, a, b);
    c2 = f32x4.relaxed_madd(c2, a, b); c3 = f32x4.relaxed_madd(c3, a, b);
    c4 = f32x4.relaxed_madd(c4, a, b); c5 = f32x4.relaxed_madd(c5, a, b);
    c6 = f32x4.relaxed_madd(c6, a, b); c7 = f32x4.relaxed_madd(c7, a, b);
    c8 = f32x4.relaxed_madd(c8, a, b); c9 = f32x4.relaxed_madd(c9, a, b);
  }
  c0 = f32x4.add(f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3)), f32x4.add(c4, c5));
  c0 = f32x4.add(c0, f32x4.add(f32x4.add(c6, c7), f32x4.add(c8, c9)));
  return f32x4.extract_lane(c0, 0);
}
