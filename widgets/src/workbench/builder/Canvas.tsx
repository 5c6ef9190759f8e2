// The canvas: edges and far blocks are painted, near blocks are cards; the pointer and the keys act on both alike.

import { memo, useImperativeHandle, useMemo, useRef, useState, type Ref } from "react";
import { useStore } from "zustand";
import { reveal, toWorld, zoom, type Camera } from "../circuit/camera";
import { useWheel } from "../circuit/CircuitPane";
import { prepareCanvas, useFrame, useSize, type Size } from "../hooks";
import type { Palette } from "../theme";
import { Card } from "./Card";
import { cardOf, labelsOf } from "./cards";
import { useConnection, type Connection } from "./connection";
import { useGestures, type Box, type Drag, type Point } from "./gestures";
import { canvasKeys } from "./keys";
import { fitBounds, type Level } from "./lod";
import { Empty, Live, RegionBars, Why, Zoom } from "./overlay";
import { paint, reach, type Picture } from "./paint";
import type { BuilderPart, Numbers } from "./part";
import type { Place } from "./places";
import { shifted, type Scene } from "./scene";
import { answerOf } from "./Side";
import { FOOT, useCamera, useReveal, useSight } from "./viewport";

export interface CanvasControls {
  fit(): void;
  zoom(factor: number): void;
  /** Starts a connection from the focused block to a parent that is chosen next. */
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

  const scene = useMemo(() => dragged(resting, drag), [resting, drag]);
  const camera = moved ?? fitBounds(resting.bounds, size, FOOT);
  const { visible, level, carded } = useSight(scene, camera, size);
  const connection = useConnection(part, scene, visible, hovered, state.tick);
  const labels = useMemo(() => labelsOf(part, resting), [part, resting]);
  const tops = useMemo(() => new Set(part.draft.tops()), [part, state.tick]);
  const selected = useMemo(() => new Set([...state.selection].map((id) => scene.index.get(id) ?? -1)), [state.selection, scene]);
  const nodeOf = (id: number | null): number | null => (id === null ? null : (scene.index.get(id) ?? null));
  const [focused, bad] = [nodeOf(state.focus), nodeOf(state.notice?.node ?? null)];

  const gestures = useGestures({
    part, scene, camera, level, drag, connecting: connection.wire, setCamera, setDrag, setBox, setHovered,
    startWire: connection.start,
    endWire: connection.end,
    setPointer: (point) => {
      setPointer(point);
      connection.aim(null);
    },
  });
  const fit = () => setCamera(fitBounds(resting.bounds, size, FOOT));
  const zoomBy = (factor: number) => setCamera(zoom(camera, factor, { x: size.width / 2, y: size.height / 2 }));
  const show = (id: number | null) => {
    const node = nodeOf(id);
    if (node !== null) setCamera(reveal(camera, { x: scene.x[node], y: scene.y[node] }, size));
  };
  useWheel(frame, (factor, at) => setCamera(zoom(camera, factor, at)));
  useReveal(state.reveal, scene, camera, size, setCamera);
  useImperativeHandle(controls, () => controlsOf({ part, frame: frame.current!, camera, size, connection, fit, zoomBy }));
  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (!context) return;
    const { reasons } = connection;
    const legal = reasons && new Set([...reasons].filter(([, reason]) => reason === null).map(([i]) => i));
    const wire = wireOf(connection, scene, level, toWorld(camera, pointer.x, pointer.y));
    paint(context, { scene, camera, level, visible, palette, selected, hovered, focused, legal, bad, wire, box, label: labels, ...size });
    canvas.current!.dataset.frames = String(++frames.current);
  });

  const answer = answerOf(part);
  return (
    <div
      ref={frame}
      className={`pcb-canvas-frame pcb-builder-canvas${connection.wire ? " pcb-connecting" : ""}${hovered !== null ? " pcb-over" : ""}`}
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
      onDblClick={(event) => {
        if ((event.target as Element).closest("button")) return;
        if (hovered === null) fit();
        else if (scene.ids[hovered] < 0) part.fold(scene.regions[-1 - scene.ids[hovered]].name);
      }}
      onKeyDown={canvasKeys({ part, scene, connection, show, cancel: gestures.cancel })}
    >
      <canvas ref={canvas} className="pcb-canvas" />
      {/* Two elements: the outer one is a layer of its own and moves without being painted again, and the inner one's
          scale is painted into it, so that words stay crisp. */}
      <div className="pcb-world" aria-hidden="true" style={{ transform: `translate(${Math.round(camera.x)}px, ${Math.round(camera.y)}px)` }}>
        <div style={{ transform: `scale(${camera.scale})` }}>
          <Cards
            {...{ part, scene, level, tops, selected, focused, bad }}
            nodes={carded}
            from={connection.from}
            reasons={connection.reasons}
            numbers={state.numbers}
            evidence={state.evidence}
          />
        </div>
      </div>
      <RegionBars {...{ part, scene, camera, size }} />
      {answer && <p className="pcb-canvas-answer" aria-hidden="true">{answer.question}<strong>{answer.answer}</strong></p>}
      <Why {...{ part, scene, camera, size, connection }} reach={reach(level)} />
      {!part.draft.blocks.size && state.token !== "" && <Empty />}
      <Zoom onZoom={zoomBy} onFit={fit} />
      <Live {...{ part, scene, connection }} />
    </div>
  );
}

function dragged(resting: Scene, drag: Drag | null): Scene {
  if (!drag) return resting;
  const nodes = new Set([...drag.ids].map((id) => resting.index.get(id)).filter((i) => i !== undefined));
  return shifted(resting, nodes, drag.dx, drag.dy);
}

/** The connection being drawn, to what it aims at or else to the pointer. */
function wireOf({ wire, from, aimed, against }: Connection, scene: Scene, level: Level, pointer: Point): Picture["wire"] {
  if (!wire || from === null) return null;
  const up = wire.wants === "parent";
  const end = aimed === null ? pointer : { x: scene.x[aimed], y: scene.y[aimed] + (up ? 1 : -1) * reach(level) };
  return { from, up, ...end, legal: aimed === null ? null : against === null };
}

interface Controlled {
  part: BuilderPart;
  frame: HTMLElement;
  camera: Camera;
  size: Size;
  connection: Connection;
  fit: () => void;
  zoomBy: (factor: number) => void;
}

function controlsOf({ part, frame, camera, size, connection, fit, zoomBy }: Controlled): CanvasControls {
  const world = (x: number, y: number): Place => {
    const point = toWorld(camera, x, y);
    return [point.x, point.y];
  };
  return {
    fit,
    zoom: zoomBy,
    connect: () => {
      const id = part.state.focus ?? [...part.state.selection][0];
      if (id !== undefined) connection.start({ from: id, wants: "parent" });
    },
    place: (clientX, clientY) => {
      const rect = frame.getBoundingClientRect();
      const [x, y] = [clientX - rect.left, clientY - rect.top];
      return x < 0 || y < 0 || x > rect.width || y > rect.height ? null : world(x, y);
    },
    middle: () => world(size.width / 2, (size.height - FOOT) / 2),
    focus: () => frame.focus({ preventScroll: true }),
  };
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
