// Preact renders at the end of whatever changed something. A click or a key wants that: what comes next meets what they led to. But
// a pointer that moves does so within a frame, which then waits for the rendering as well: 23 frames a second with 20,000 blocks.
// Rendered in a task of its own, between two frames, there are 57. On a busy machine that task comes late, and Preact asks for no
// other before it: what a person does next renders it first, or a key would act on what was on the screen before the move.

import { options } from "preact";

const MOVING = new Set(["pointermove", "mousemove", "wheel"]);
const NEXT = ["keydown", "pointerdown", "pointermove", "pointerup", "click", "wheel", "input"];
const { port1, port2 } = new MessageChannel();
let waiting: (() => void) | undefined; // Preact asks once until it has rendered

const renderNow = () => {
  const render = waiting;
  waiting = undefined;
  render?.();
};

port1.onmessage = renderNow;
for (const type of NEXT) window.addEventListener(type, renderNow, { capture: true, passive: true });

options.debounceRendering = (render) => {
  if (!MOVING.has(window.event?.type ?? "")) return queueMicrotask(render);
  waiting = render;
  port2.postMessage(null);
};
