const WIDTH = 320;
const HEIGHT = 180;
const EDGE = 36;

/**
 * Draws a curve and dots into an svg.
 * @param line points `[x, y]` joined by the curve
 * @param dots points that are marked
 * @param labels of the axes: `{ left, right, top, bottom }`
 * @param description what a person who cannot see it hears
 */
export function plot(svg, line, dots, labels, description) {
  const xs = line.map(([x]) => x);
  const ys = line.map(([, y]) => y);
  const scale = (values, from, to) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  };
  const x = scale(xs, EDGE, WIDTH - EDGE);
  const y = scale(ys, HEIGHT - EDGE, EDGE);
  const path = element('path', {
    d: line.map(([a, b], i) => `${i ? 'L' : 'M'}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join(''),
  });
  const marks = dots.map(([a, b]) => element('circle', { cx: x(a), cy: y(b), r: 3.2 }));
  const words = [
    [labels.left, EDGE, HEIGHT - 9, 'start'],
    [labels.right, WIDTH - EDGE, HEIGHT - 9, 'end'],
    [labels.bottom, EDGE - 6, HEIGHT - EDGE, 'end'],
    [labels.top, EDGE - 6, EDGE + 4, 'end'],
  ].map(([text, left, top, anchor]) => {
    const made = element('text', { x: left, y: top, 'text-anchor': anchor });
    made.textContent = text;
    return made;
  });
  svg.replaceChildren(path, ...marks, ...words);
  svg.setAttribute('aria-label', description);
}

function element(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
