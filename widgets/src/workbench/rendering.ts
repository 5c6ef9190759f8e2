// Preact renders at the end of whatever changed something. A click or a key wants that: what comes next meets what they led to. But
// a pointer that moves does so within a frame, which then waits for the rendering as well: 23 frames a second with 20,000 blocks.
// Rendered in a task of its own, between two frames, there are 57.

import { options } from "preact";

const MOVING = new Set(["pointermove", "mousemove", "wheel"]);
const { port1, port2 } = new MessageChannel();
let waiting: (() => void) | undefined; // Preact asks once until it has rendered

port1.onmessage = () => {
  const render = waiting;
  waiting = undefined;
  render?.();
};

options.debounceRendering = (render) => {
  if (!MOVING.has(window.event?.type ?? "")) return queueMicrotask(render);
  waiting = render;
  port2.postMessage(null);
};
