// The circuit with the pass on it: pans, zooms, walks by keys, and tells what a node's number is made of.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { useStore } from "zustand";
import { Zoom } from "../builder/overlay";
import { reveal, toWorld, zoom, type Camera } from "../circuit/camera";
import { useWheel } from "../circuit/CircuitPane";
import { prepareCanvas, useFrame, useSize, type Size } from "../hooks";
import type { Palette } from "../theme";
import type { Trace } from "./answers";
import type { Lesson } from "./lesson";
import { paint, RADIUS } from "./paint";
import type { LabPart } from "./part";
import { stepOf } from "./steps";

const DRAG_FROM = 4;
const TRAVEL_MS = 420;
const LARGEST = 1.5;
/** The zoom buttons stand along the right edge. */
const BUTTONS = 36;

interface Props {
  part: LabPart;
  lesson: Lesson;
  trace: Trace | null;
  palette: Palette;
  still: boolean;
}

export function Picture({ part, lesson, trace, palette, still }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const { at, pass, node } = useStore(part.store);
  const size = useSize(frame);
  const [moved, setCamera] = useState<Camera | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const travelled = useTravel(lesson, at, still);
  const wrong = useMemo(() => new Set(lesson.violations.map((violation) => violation.node)), [lesson]);
  useEffect(() => setCamera(null), [lesson]);
  const { placement } = lesson;
  const camera = moved ?? fitted(placement, size);
  const middle = { x: size.width / 2, y: size.height / 2 };

  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (!context) return;
    const bad = getComputedStyle(canvas.current!).getPropertyValue("--pcb-bad").trim();
    paint(context, { lesson, trace, pass, at, step: stepOf(lesson, at), camera, palette, node, hovered, travelled, wrong, bad, ...size });
  });
  useWheel(frame, (factor, point) => setCamera(zoom(camera, factor, point)));

  const pointOf = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const under = (point: { x: number; y: number }): number | null => {
    const world = toWorld(camera, point.x, point.y);
    const reach = RADIUS + 5 / camera.scale;
    const found = lesson.nodes.findIndex((_, i) => Math.hypot(placement.x[i] - world.x, placement.y[i] - world.y) <= reach);
    return found < 0 ? null : found;
  };
  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    if ((event.target as Element).closest("button")) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { ...pointOf(event), moved: false };
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const point = pointOf(event);
    if (!drag.current) return setHovered(under(point));
    const [dx, dy] = [point.x - drag.current.x, point.y - drag.current.y];
    if (!drag.current.moved && Math.hypot(dx, dy) < DRAG_FROM) return;
    drag.current = { ...point, moved: true };
    setCamera({ ...camera, x: camera.x + dx, y: camera.y + dy });
  };
  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    const clicked = drag.current !== null && !drag.current.moved;
    drag.current = null;
    if (clicked) part.set({ node: under(pointOf(event)) });
  };
  const walk = (by: number) => {
    const next = neighbour(lesson, node, by, stepOf(lesson, at).layer);
    part.set({ node: next });
    setCamera(reveal(camera, { x: placement.x[next], y: placement.y[next] }, size));
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest("button")) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") walk(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "+" || event.key === "=") setCamera(zoom(camera, 1.3, middle));
    else if (event.key === "-") setCamera(zoom(camera, 1 / 1.3, middle));
    else if (event.key === "0") setCamera(null);
    else if (event.key === "Escape") part.set({ node: null });
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      ref={frame}
      className={`pcb-canvas-frame pcb-lab-canvas${hovered !== null ? " pcb-over" : ""}`}
      tabIndex={0}
      role="application"
      aria-label={`The circuit, ${lesson.nodes.length} nodes. Left and right step, up and down choose a node, plus and minus zoom.`}
      data-home
      data-travelling={travelled < 1}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onPointerLeave={() => setHovered(null)}
      onKeyDown={onKeyDown}
    >
      <canvas ref={canvas} className="pcb-canvas" />
      <Zoom onZoom={(factor) => setCamera(zoom(camera, factor, middle))} onFit={() => setCamera(null)} />
    </div>
  );
}

/** Everything, with room for words; small circuits are enlarged. */
function fitted({ width, height }: { width: number; height: number }, size: Size): Camera {
  const [above, below, beside] = [RADIUS + 10, RADIUS + 48, 100]; // words grow with the picture
  const across = size.width - BUTTONS;
  const scale = Math.max(0.01, Math.min(LARGEST, across / (width + beside), size.height / (height + above + below)));
  const top = (size.height - scale * (height + above + below)) / 2 + scale * above;
  return { scale, x: (across - width * scale) / 2, y: top };
}

/** The next node in the order of the rows, from the top; the first one of the current layer where none is chosen. */
function neighbour(lesson: Lesson, from: number | null, by: number, layer: number): number {
  const order = [...lesson.layers].reverse().flat();
  if (from === null) return (lesson.layers[layer] ?? lesson.layers[lesson.layers.length - 1])[0];
  return order[Math.min(order.length - 1, Math.max(0, order.indexOf(from) + by))];
}

/** 0 … 1 after each step; at once where nothing shall move. */
function useTravel(lesson: Lesson, at: number, still: boolean): number {
  const [travelled, setTravelled] = useState(1);
  const last = useRef({ lesson, at });
  useEffect(() => {
    const before = last.current;
    last.current = { lesson, at };
    if (still || before.lesson !== lesson || Math.abs(before.at - at) !== 1) return setTravelled(1);
    const start = performance.now();
    let frame = 0;
    const move = (now: number) => {
      const t = Math.min(1, (now - start) / TRAVEL_MS);
      setTravelled(t);
      if (t < 1) frame = requestAnimationFrame(move);
    };
    frame = requestAnimationFrame(move);
    return () => cancelAnimationFrame(frame);
  }, [lesson, at, still]);
  return travelled;
}
