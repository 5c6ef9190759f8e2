// Preact renders at the end of whatever changed something. While the pointer moves that is within a frame, which then waits for
// the rendering as well: 23 frames a second with 20,000 blocks. In a task of its own, between two frames, there are 57.

import { options } from "preact";

const { port1, port2 } = new MessageChannel();
let waiting: (() => void) | undefined; // Preact asks once until it has rendered

port1.onmessage = () => {
  const render = waiting;
  waiting = undefined;
  render?.();
};

options.debounceRendering = (render) => {
  if (waiting === undefined) port2.postMessage(null);
  waiting = render;
};
