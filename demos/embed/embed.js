// <script src="https://your-host/demos/embed/embed.js" data-prompt="a lake at dawn" async></script>
// puts the frame after itself. `data-` attributes are the options of the frame's URL. What the frame
// tells of arrives at the iframe element as `stable-diffusion` events; `iframe.stableDiffusion` is the
// port that takes { type: 'prompt', prompt }, { type: 'generate' } and { type: 'abort' }.
(() => {
  const script = document.currentScript;
  const url = new URL('./', script.src);
  for (const [name, value] of Object.entries(script.dataset))
    url.searchParams.set(
      name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      value,
    );
  url.searchParams.set('parent', location.origin);

  const frame = document.createElement('iframe');
  frame.title = 'Draw a picture with Stable Diffusion';
  // The first lets the frame have threads where this page is isolated itself.
  frame.allow = 'cross-origin-isolated; clipboard-write';
  frame.loading = 'lazy';
  frame.style.cssText = 'width:100%;max-width:34rem;height:32rem;border:0';

  addEventListener('message', ({ source, origin, data, ports }) => {
    if (source !== frame.contentWindow || origin !== url.origin || ports.length !== 1) return;
    if (data?.type !== 'stable-diffusion-web/ready' || data.version !== 1) return;
    const [port] = ports;
    port.onmessage = ({ data: message }) => {
      if (message?.type === 'resize' && Number.isFinite(message.height))
        frame.style.height = `${Math.min(4000, Math.max(100, message.height))}px`;
      else frame.dispatchEvent(new CustomEvent('stable-diffusion', { detail: message }));
    };
    frame.stableDiffusion = port;
  });
  frame.src = url.href;
  script.after(frame);
})();
