// The canvas: edges and far blocks are painted, near blocks are cards; the pointer and the keys act on both alike.

import { memo, useEffect, useImperativeHandle, useMemo, useRef, useState, type KeyboardEvent, type Ref } from "react";
import { useStore } from "zustand";
import { reveal, toWorld, zoom, type Camera } from "../circuit/camera";
import { useWheel } from "../circuit/CircuitPane";
import { prepareCanvas, useFrame, useSize } from "../hooks";
import type { Palette } from "../theme";
import { connect, neighbour, nudge, reasonAgainst, sentence, type Connecting, type Direction } from "./actions";
import { Card } from "./Card";
import { cardOf, labelsOf } from "./cards";
import { useGestures, type Box, type Drag, type Point } from "./gestures";
import { fitBounds, levelOf, MOST_CARDS, rim, visibleNodes, type Level } from "./lod";
import { paint, reach } from "./paint";
import type { BuilderPart, Numbers } from "./part";
import { CARD, type Place } from "./places";
import { boundsOf, shifted, type Scene } from "./scene";
import { answerOf } from "./Side";

export interface CanvasControls {
  fit(): void;
  zoom(factor: number): void;
  /** Starts a connection from the focused block to a parent or child that is chosen next. */
  connect(): void;
  /** A point of the page in the picture, or null beside the canvas. */
  place(clientX: number, clientY: number): Place | null;
  middle(): Place;
  focus(): void;
}

interface Props {
  part: BuilderPart;
  palette: Palette;
  scene: Scene;
  controls: Ref<CanvasControls>;
}

const ARROWS: Record<string, Direction> = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };
const STEPS: Record<Direction, [number, number]> = { up: [0, -16], down: [0, 16], left: [-16, 0], right: [16, 0] };
const FOOT = 30;
/** Legal ends are looked for among so many nodes; what is further away is asked about when the pointer comes. */
const MOST_ASKED = 600;

export function Canvas({ part, palette, scene: resting, controls }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const frames = useRef(0);
  const size = useSize(frame);
  const state = useStore(part.store);
  const [moved, setCamera] = useCamera(state.token);
  const [drag, setDrag] = useState<Drag | null>(null);
  const [box, setBox] = useState<Box | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const [pointer, setPointer] = useState<Point>({ x: 0, y: 0 });
  const [connecting, setConnecting] = useState<Connecting | null>(null);
  const [target, setTarget] = useState<number | null>(null);

  const scene = useMemo(() => {
    if (!drag) return resting;
    const nodes = new Set([...drag.ids].map((id) => resting.index.get(id)).filter((i) => i !== undefined));
    return shifted(resting, nodes, drag.dx, drag.dy);
  }, [resting, drag]);
  const camera = moved ?? fitBounds(resting.bounds, size, FOOT);
  const visible = useMemo(() => visibleNodes(scene, camera, size), [scene, camera.x, camera.y, camera.scale, size]);
  const level = levelOf(camera.scale, visible.length);
  const cards = level === "cards" || level === "numbers";
  const near = rim(camera, size);
  const carded = useMemo(() => {
    if (!cards) return [];
    const rimmed = visibleNodes(scene, near.camera, near.screen);
    return rimmed.length <= MOST_CARDS ? rimmed : visible;
  }, [cards, scene, near.camera.x, near.camera.y, camera.scale, near.screen.width, near.screen.height, cards && visible.length > MOST_CARDS / 2 ? visible : null]);
  const labels = useMemo(() => labelsOf(part, resting), [part, resting]);
  const tops = useMemo(() => new Set(part.draft.tops()), [part, state.tick]);
  const selected = useMemo(() => {
    const nodes = new Set<number>();
    for (const id of state.selection) nodes.add(scene.index.get(id) ?? -1);
    return nodes;
  }, [state.selection, scene]);
  const nodeOf = (id: number | null): number | null => (id === null ? null : (scene.index.get(id) ?? null));
  const from = connecting && nodeOf(connecting.from);
  const aimed = connecting ? (target !== null ? nodeOf(target) : hovered) : null;
  const reasons = useMemo(() => {
    if (!connecting || visible.length > MOST_ASKED) return null;
    const out = new Map<number, string | null>();
    for (const i of visible) if (scene.ids[i] >= 0 && i !== from) out.set(i, reasonAgainst(part, connecting, scene.ids[i]));
    return out;
  }, [connecting, state.tick, visible.length > MOST_ASKED ? null : visible]);
  const against =
    connecting && aimed !== null && aimed !== from && scene.ids[aimed] >= 0
      ? reasonAgainst(part, connecting, scene.ids[aimed])
      : null;
  const aims = connecting !== null && aimed !== null && aimed !== from;

  const endWire = (node: number | null) => {
    const wire = connecting;
    setConnecting(null);
    setTarget(null);
    if (wire && node !== null && node !== nodeOf(wire.from) && scene.ids[node] >= 0) connect(part, wire, scene.ids[node]);
  };
  const startWire = (wire: Connecting) => {
    part.dismiss();
    setTarget(null);
    setConnecting(wire);
  };
  const gestures = useGestures({
    part, scene, camera, level, drag, connecting, setCamera, setDrag, setBox, setHovered, startWire, endWire,
    setPointer: (point) => {
      setPointer(point);
      if (target !== null) setTarget(null);
    },
  });
  useWheel(frame, (factor, at) => setCamera(zoom(camera, factor, at)));

  const fit = () => setCamera(fitBounds(resting.bounds, size, FOOT));
  const zoomBy = (factor: number) => setCamera(zoom(camera, factor, { x: size.width / 2, y: size.height / 2 }));
  useImperativeHandle(controls, () => ({
    fit,
    zoom: zoomBy,
    connect: () => {
      const id = part.state.focus ?? [...part.state.selection][0];
      if (id !== undefined) startWire({ from: id, wants: "parent" });
    },
    place: (clientX, clientY) => {
      const rect = frame.current!.getBoundingClientRect();
      const [x, y] = [clientX - rect.left, clientY - rect.top];
      if (x < 0 || y < 0 || x > rect.width || y > rect.height) return null;
      const world = toWorld(camera, x, y);
      return [world.x, world.y];
    },
    middle: () => {
      const world = toWorld(camera, size.width / 2, (size.height - FOOT) / 2);
      return [world.x, world.y];
    },
    focus: () => frame.current?.focus({ preventScroll: true }),
  }));

  // What was asked to be seen: a block is brought inside, several are fitted where some lie outside.
  const asked = useRef(state.reveal.serial);
  useEffect(() => {
    if (asked.current === state.reveal.serial || !size.width) return;
    asked.current = state.reveal.serial;
    const ids = state.reveal.ids;
    const nodes = ids === null ? null : [...new Set(ids.map((id) => scene.index.get(id)).filter((i) => i !== undefined))];
    if (nodes === null) return fit();
    if (!nodes.length) return;
    const bounds = boundsOf(scene, nodes);
    let next = camera;
    if (nodes.length > 1) {
      const [a, b] = [toWorld(camera, 0, 0), toWorld(camera, size.width, size.height - FOOT)];
      const inside = bounds.left >= a.x && bounds.right <= b.x && bounds.top >= a.y && bounds.bottom <= b.y;
      if (!inside) next = fitBounds(bounds, size, FOOT);
    } else {
      next = reveal(next, { x: bounds.left - CARD.width / 4, y: bounds.top - CARD.height / 4 }, size);
      next = reveal(next, { x: bounds.right + CARD.width / 4, y: bounds.bottom + CARD.height / 4 }, size);
    }
    setCamera(next);
  });

  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (!context) return;
    const below = connecting?.wants === "parent" ? 1 : -1;
    const end = aims
      ? { x: scene.x[aimed!], y: scene.y[aimed!] + below * reach(level) }
      : toWorld(camera, pointer.x, pointer.y);
    paint(context, {
      scene, camera, level, visible, palette, selected, hovered,
      focused: nodeOf(state.focus),
      legal: reasons && new Set([...reasons].filter(([, reason]) => reason === null).map(([i]) => i)),
      bad: nodeOf(state.notice?.node ?? null),
      wire: connecting && from !== null ? { from, up: connecting.wants === "parent", ...end, legal: aims ? against === null : null } : null,
      box,
      label: labels,
      ...size,
    });
    canvas.current!.dataset.frames = String(++frames.current);
  });

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = ARROWS[event.key];
    if (direction && connecting) {
      const next = neighbour(part, scene, target ?? connecting.from, direction, false);
      setTarget(next);
      show(next);
    } else if (direction && event.shiftKey) nudge(part, ...STEPS[direction]);
    else if (direction) {
      const next = neighbour(part, scene, state.focus, direction);
      if (next !== null) part.walkTo(next);
      show(next);
    } else if (event.key === "Enter" && connecting) endWire(aimed);
    else if (event.key === " " && state.focus !== null) part.toggle([state.focus]);
    else if (event.key === "Escape") {
      if (connecting) endWire(null);
      else if (!gestures.cancel() && state.notice) part.dismiss();
      else part.choose(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const show = (id: number | null) => {
    const node = nodeOf(id);
    if (node !== null) setCamera(reveal(camera, { x: scene.x[node], y: scene.y[node] }, size));
  };

  const focusedBlock = state.focus === null ? undefined : part.draft.blocks.get(state.focus);
  const aimedBlock = aims ? part.draft.blocks.get(scene.ids[aimed!]) : undefined;
  const answer = answerOf(part);
  const bubble = bubbleOf();
  function bubbleOf(): { text: string; node: number | null } | null {
    if (aims && against !== null) return { text: against, node: aimed };
    return state.notice && { text: state.notice.reason, node: nodeOf(state.notice.node) };
  }
  return (
    <div
      ref={frame}
      className={`pcb-canvas-frame pcb-builder-canvas${connecting ? " pcb-connecting" : ""}${hovered !== null ? " pcb-over" : ""}`}
      tabIndex={0}
      role="application"
      aria-label="Canvas of the builder. Arrow keys walk, Shift with arrow keys moves, question mark lists all keys."
      data-home
      data-level={level}
      data-camera={`${camera.x.toFixed(1)},${camera.y.toFixed(1)},${camera.scale.toFixed(4)}`}
      data-visible={visible.length}
      onPointerDown={gestures.onPointerDown}
      onPointerMove={gestures.onPointerMove}
      onPointerUp={gestures.onPointerUp}
      onPointerLeave={() => setHovered(null)}
      onDoubleClick={(event) => {
        const node = hovered;
        if ((event.target as Element).closest("button")) return;
        if (node === null) fit();
        else if (scene.ids[node] < 0) part.fold(scene.regions[-1 - scene.ids[node]].name);
      }}
      onKeyDown={onKeyDown}
    >
      <canvas ref={canvas} className="pcb-canvas" />
      {cards && (
        // Two elements: the outer one is a layer of its own and moves without being painted again, and the inner one's
        // scale is painted into it, so that words stay crisp.
        <div
          className="pcb-world"
          aria-hidden="true"
          style={{ transform: `translate(${Math.round(camera.x)}px, ${Math.round(camera.y)}px)` }}
        >
          <div style={{ transform: `scale(${camera.scale})` }}>
            <Cards
              part={part}
              scene={scene}
              nodes={carded}
              level={level}
              tops={tops}
              selected={selected}
              focused={nodeOf(state.focus)}
              bad={nodeOf(state.notice?.node ?? null)}
              from={from}
              reasons={connecting ? reasons : null}
              numbers={state.numbers}
              evidence={state.evidence}
            />
          </div>
        </div>
      )}
      <RegionBars part={part} scene={scene} camera={camera} size={size} />
      {answer && (
        <p className="pcb-canvas-answer" aria-hidden="true">{answer.question}<strong>{answer.answer}</strong></p>
      )}
      {bubble && <Why {...bubble} {...anchor(bubble.node)} onClose={() => part.dismiss()} />}
      {!part.draft.blocks.size && state.token !== "" && (
        <p className="pcb-empty pcb-canvas-empty">
          An empty circuit. Press <kbd>i</kbd> for an input, mark two with <kbd>Space</kbd> and put a product above them with{" "}
          <kbd>p</kbd>, a sum with <kbd>s</kbd>; or start from a template. <kbd>?</kbd> lists all keys.
        </p>
      )}
      <div className="pcb-zoom">
        <button type="button" onClick={() => zoomBy(1.3)} aria-label="Zoom in" title="Zoom in (+)">+</button>
        <button type="button" onClick={() => zoomBy(1 / 1.3)} aria-label="Zoom out" title="Zoom out (−)">−</button>
        <button type="button" onClick={fit} aria-label="Fit the circuit" title="Fit (0)">⤢</button>
      </div>
      <div className="pcb-hidden" aria-live="polite" data-live="canvas">
        {connecting && aimedBlock
          ? `${sentence(part, aimedBlock)}. ${against ?? "The connection is legal; Enter makes it."}`
          : connecting
            ? "Choose the other end with the arrow keys; Escape ends."
            : focusedBlock
              ? sentence(part, focusedBlock)
              : ""}
      </div>
    </div>
  );

  function anchor(node: number | null): { left: number; top: number } {
    const [width, high] = [300, 74];
    if (node === null) return { left: Math.max(8, size.width / 2 - width / 2), top: 10 };
    const [x, y] = [scene.x[node] * camera.scale + camera.x, scene.y[node] * camera.scale + camera.y];
    const off = (cards ? CARD.height / 2 : 20) * camera.scale + 8;
    // Above, if there is room: the line to it mostly comes from below.
    const top = y - off - high > 0 ? y - off - high : y + off;
    const inside = (value: number, most: number) => Math.min(Math.max(value, 8), Math.max(8, most));
    return { left: inside(x - width / 2, size.width - width - 8), top: inside(top, size.height - high) };
  }
}

interface CardsProps {
  part: BuilderPart;
  scene: Scene;
  nodes: readonly number[];
  level: Level;
  tops: ReadonlySet<number>;
  selected: ReadonlySet<number>;
  focused: number | null;
  bad: number | null;
  from: number | null;
  reasons: ReadonlyMap<number, string | null> | null;
  /** What values on the cards come from. */
  numbers: Numbers | null;
  evidence: Readonly<Record<string, number>>;
}

const Cards = memo(function Cards({ part, scene, nodes, level, tops, selected, focused, bad, from, reasons }: CardsProps) {
  return nodes.map((i) => (
    <Card
      key={scene.ids[i]}
      {...cardOf(part, scene, i, level, tops)}
      selected={selected.has(i)}
      focused={i === focused}
      bad={i === bad}
      legal={reasons && i !== from ? reasons.get(i) === null : undefined}
    />
  ));
});

/** The camera of one document: kept over a reload of the page, and never sent to Python. Null fits all. */
function useCamera(token: string): [Camera | null, (camera: Camera) => void] {
  const [camera, setCamera] = useState<{ token: string; camera: Camera } | null>(null);
  const key = `pcbench-builder-${token}`;
  const kept = useMemo(() => {
    try {
      return JSON.parse(sessionStorage.getItem(key) ?? "null") as Camera | null;
    } catch {
      return null;
    }
  }, [key]);
  const current = camera?.token === token ? camera.camera : kept;
  useEffect(() => {
    if (!token || !camera || camera.token !== token) return;
    const timer = setTimeout(() => sessionStorage.setItem(key, JSON.stringify(camera.camera)), 100);
    return () => clearTimeout(timer);
  }, [camera, token, key]);
  return [current, (next) => setCamera({ token, camera: next })];
}

function Why({ text, left, top, onClose }: { text: string; left: number; top: number; onClose: () => void }) {
  return (
    <div className="pcb-why" role="alert" style={{ left, top }}>
      <span>{text}</span>
      <button type="button" aria-label="Close" onClick={onClose}>×</button>
    </div>
  );
}

/** The name of each region on its frame, which folds it. */
function RegionBars({ part, scene, camera, size }: { part: BuilderPart; scene: Scene; camera: Camera; size: { width: number; height: number } }) {
  return scene.regions.map((region) => {
    const left = region.left * camera.scale + camera.x;
    const top = region.top * camera.scale + camera.y;
    const wide = (region.right - region.left) * camera.scale;
    const folded = region.node !== null;
    if ((wide < 60 && !folded) || left > size.width || left + wide < 0 || top > size.height || top < -24) return null;
    return (
      <button
        key={region.name}
        type="button"
        className="pcb-region-bar"
        aria-expanded={!folded}
        title={`${folded ? "Unfold" : "Fold"} ${region.name}, ${region.ids.length} blocks (F)`}
        style={{ left: Math.max(left, 4), top: Math.max(top - (folded ? 22 : 0), 4) }}
        onClick={() => part.fold(region.name)}
        onDoubleClick={(event) => event.stopPropagation()}
      >
        {folded ? "▸" : "▾"} {region.name}
      </button>
    );
  });
}

