// The circuit with the pass on it: pans, zooms, walks by keys, and tells what a node's number is made of.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import { useStore } from "zustand";
import { sorted } from "../format";
import type { Size } from "../hooks";
import type { Camera } from "../stage/camera";
import { usePainting, usePan, useStage, useSurface, Zoom, zoomKey, type Point } from "../stage/stage";
import { hoverBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import type { Trace } from "./answers";
import type { Lesson } from "./lesson";
import { paint, RADIUS } from "./paint";
import type { LabPart } from "./part";
import { stepOf } from "./steps";

const TRAVEL_MS = 420;
const LARGEST = 1.5;
/** The zoom buttons stand along the right edge. */
const BUTTONS = 36;

interface Props {
  store: Store;
  part: LabPart;
  lesson: Lesson;
  trace: Trace | null;
  palette: Palette;
  still: boolean;
}

export function Picture({ store, part, lesson, trace, palette, still }: Props) {
  const surface = useSurface();
  const { canvas, frame, size } = surface;
  const { at, pass, node } = useStore(part.store);
  const [moved, setCamera] = useState<Camera | null>(null);
  const [hovered, lit, setHovered] = useHovered(store, part, lesson);
  const travelled = useTravel(lesson, at, still);
  const wrong = useMemo(() => new Set(lesson.violations.map((violation) => violation.node)), [lesson]);
  useEffect(() => setCamera(null), [lesson]);
  const { placement } = lesson;
  const stage = useStage({ surface, whole: fitted(placement, size), moved, setCamera, home: frame });
  const { camera } = stage;

  usePainting(surface, (context, element) => {
    const bad = getComputedStyle(element).getPropertyValue("--pcb-bad").trim();
    paint(context, { lesson, trace, pass, at, step: stepOf(lesson, at), camera, palette, node, hovered: lit, travelled, wrong, bad, ...size });
  });

  const under = (world: Point): number | null => {
    const reach = RADIUS + 5 / camera.scale;
    const found = lesson.nodes.findIndex((_, i) => Math.hypot(placement.x[i] - world.x, placement.y[i] - world.y) <= reach);
    return found < 0 ? null : found;
  };
  const pan = usePan(stage, {
    hover: (world) => setHovered(world && under(world)),
    click: (world) => part.set({ node: under(world) }),
  });
  const walk = (by: number) => {
    const next = neighbour(lesson, node, by, stepOf(lesson, at).layer);
    part.set({ node: next });
    stage.reveal({ x: placement.x[next], y: placement.y[next] });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest("button")) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") walk(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Escape") part.set({ node: null });
    else if (!zoomKey(stage, event.key)) return;
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
      data-lit={sorted(lit)}
      data-travelling={travelled < 1}
      {...pan}
      onKeyDown={onKeyDown}
    >
      <canvas ref={canvas} className="pcb-canvas" />
      <Zoom zoom={stage.zoom} fit={stage.fit} />
    </div>
  );
}

/** The node under the pointer, and those that are lit: it, and the circuit's block that is pointed at in another pane. */
function useHovered(store: Store, part: LabPart, lesson: Lesson): [number | null, ReadonlySet<number>, (node: number | null) => void] {
  const linked = useStore(part.store, (s) => s.linked && s.lesson === 0);
  const blocks = useStore(store, (s) => s.hovered);
  const [own, setOwn] = useState<number | null>(null);
  const lit = useMemo(() => {
    const found = new Set(own === null ? [] : [own]);
    if (linked && blocks.size) lesson.nodes.forEach(({ block }, i) => blocks.has(block) && found.add(i));
    return found;
  }, [linked, blocks, own, lesson]);
  const hover = (node: number | null) => {
    setOwn(node);
    if (linked) hoverBlocks(store, node === null ? [] : [lesson.nodes[node].block]);
  };
  return [own, lit, hover];
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
