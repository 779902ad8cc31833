'use client';

import { useEffect } from 'react';
import { draw } from '../../app/draw.js';

export default function Page() {
  useEffect(() => {
    globalThis.drawn = draw();
  }, []);
  return <h1>A picture</h1>;
}
