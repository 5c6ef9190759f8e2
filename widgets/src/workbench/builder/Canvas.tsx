// The canvas: edges and far blocks are painted, near blocks are cards; the pointer and the keys act on both alike.

import { memo, useImperativeHandle, useMemo, useRef, useState, type Ref } from "react";
import { useStore } from "zustand";
import { usePainting, useStage, useSurface, Zoom, type Point, type Stage } from "../stage/stage";
import { sorted } from "../format";
import { hoverBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import { Card } from "./Card";
import { cardOf, labelsOf } from "./cards";
import { useConnection, type Connection } from "./connection";
import { useGestures, type Box, type Drag } from "./gestures";
import { canvasKeys } from "./keys";
import { fitBounds, type Level } from "./lod";
import { Empty, Live, RegionBars, Why } from "./overlay";
import { paint, reach, type Picture } from "./paint";
import type { BuilderPart, Numbers } from "./part";
import type { Place } from "./places";
import { blocksOf, shifted, type Scene } from "./scene";
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
  store: Store;
  part: BuilderPart;
  palette: Palette;
  scene: Scene;
  controls: Ref<CanvasControls>;
}

export function Canvas({ store, part, palette, scene: resting, controls }: Props) {
  const surface = useSurface();
  const { canvas, frame, size } = surface;
  const frames = useRef(0);
  const state = useStore(part.store);
  const [moved, setCamera] = useCamera(state.token);
  const [drag, setDrag] = useState<Drag | null>(null);
  const [box, setBox] = useState<Box | null>(null);
  const [pointer, setPointer] = useState<Point>({ x: 0, y: 0 });

  const scene = useMemo(() => dragged(resting, drag), [resting, drag]);
  const [hovered, lit, setHovered] = useHovered(store, part, scene);
  const whole = fitBounds(resting.bounds, size, FOOT);
  // Where one looked when everything was fitted stays where it is, whatever is added.
  const stage = useStage({ surface, whole, moved, setCamera: (next) => setCamera(next ?? whole), home: frame });
  const { camera } = stage;
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
  const show = (id: number | null) => {
    const node = nodeOf(id);
    if (node !== null) stage.reveal({ x: scene.x[node], y: scene.y[node] });
  };
  useReveal(state.reveal, scene, camera, size, setCamera);
  useImperativeHandle(controls, () => controlsOf({ part, stage, connection }));
  usePainting(surface, (context, element) => {
    const { reasons } = connection;
    const legal = reasons && new Set([...reasons].filter(([, reason]) => reason === null).map(([i]) => i));
    const wire = wireOf(connection, scene, level, stage.world(pointer));
    paint(context, { scene, camera, level, visible, palette, selected, hovered: lit, focused, legal, bad, wire, box, label: labels, ...size });
    element.dataset.frames = String(++frames.current);
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
      data-lit={sorted([...lit].map((i) => scene.ids[i]))}
      onPointerDown={gestures.onPointerDown}
      onPointerMove={gestures.onPointerMove}
      onPointerUp={gestures.onPointerUp}
      onPointerLeave={() => setHovered(null)}
      onDblClick={(event) => {
        if ((event.target as Element).closest("button")) return;
        if (hovered === null) stage.fit();
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
            {...{ part, scene, level, tops, selected, lit, hovered, focused, bad }}
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
      <Zoom zoom={stage.zoom} fit={stage.fit} />
      <Live {...{ part, scene, connection }} />
    </div>
  );
}

/** The node under the pointer, and those that are lit: it, and what is pointed at in the panes of the compiled circuit. */
function useHovered(store: Store, part: BuilderPart, scene: Scene): [number | null, ReadonlySet<number>, (node: number | null) => void] {
  const link = useStore(part.store, (s) => s.link);
  const there = useStore(store, (s) => s.hovered);
  const [own, setOwn] = useState<number | null>(null);
  const lit = useMemo(() => {
    const far = link ? [...there].map((block) => scene.index.get(link[block]) ?? -1).filter((i) => i >= 0) : [];
    return new Set(own === null ? far : [own, ...far]);
  }, [link, there, own, scene.index]);
  const hover = (node: number | null) => {
    setOwn(node);
    if (!link || node === own) return;
    const ids = new Set(node === null ? [] : blocksOf(scene, node));
    hoverBlocks(store, [...link.keys()].filter((block) => ids.has(link[block])));
  };
  return [own, lit, hover];
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
  stage: Stage;
  connection: Connection;
}

function controlsOf({ part, stage, connection }: Controlled): CanvasControls {
  const frame = stage.frame.current!;
  const world = (x: number, y: number): Place => {
    const point = stage.world({ x, y });
    return [point.x, point.y];
  };
  return {
    fit: stage.fit,
    zoom: stage.zoom,
    connect: () => {
      const id = part.state.focus ?? [...part.state.selection][0];
      if (id !== undefined) connection.start({ from: id, wants: "parent" });
    },
    place: (clientX, clientY) => {
      const rect = frame.getBoundingClientRect();
      const [x, y] = [clientX - rect.left, clientY - rect.top];
      return x < 0 || y < 0 || x > rect.width || y > rect.height ? null : world(x, y);
    },
    middle: () => world(stage.size.width / 2, (stage.size.height - FOOT) / 2),
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
  lit: ReadonlySet<number>;
  hovered: number | null;
  focused: number | null;
  bad: number | null;
  from: number | null;
  reasons: ReadonlyMap<number, string | null> | null;
  /** What values on the cards come from. */
  numbers: Numbers | null;
  evidence: Readonly<Record<string, number>>;
}

const Cards = memo(function Cards({ part, scene, nodes, level, tops, selected, lit, hovered, focused, bad, from, reasons }: CardsProps) {
  return nodes.map((i) => (
    <Card
      key={scene.ids[i]}
      {...cardOf(part, scene, i, level, tops)}
      selected={selected.has(i)}
      lit={lit.has(i) && i !== hovered}
      focused={i === focused}
      bad={i === bad}
      legal={reasons && i !== from ? reasons.get(i) === null : undefined}
    />
  ));
});
