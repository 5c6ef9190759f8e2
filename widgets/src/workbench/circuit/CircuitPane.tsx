// The circuit: a canvas that pans, zooms, tells what is under the pointer and is driven by keys; and its table twin.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import { useStore } from "zustand";
import { count, plural } from "../format";
import { prepareCanvas, useFrame, useSize } from "../hooks";
import { Pane } from "../Pane";
import type { Block, Circuit } from "../protocol";
import { selectBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import { BlockTable } from "./BlockTable";
import { fit, reveal, toWorld, zoom, type Camera } from "./camera";
import { draw, hit, SYMBOL } from "./draw";
import { layout, type Placement } from "./layout";
import { neighbour, type Direction } from "./walk";

const DRAG_THRESHOLD = 4;
const DIRECTIONS: Record<string, Direction> = {
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "left",
  ArrowRight: "right",
};

interface Props {
  store: Store;
  palette: Palette;
}

function describe(block: Block): string {
  return `${block.name}: ${block.kind}, ${plural(block.nodes, "node")}, scope ${block.scope}`;
}

export function CircuitPane({ store, palette }: Props) {
  const circuit = useStore(store, (s) => s.circuit);
  const [table, setTable] = useState(false);
  const placement = useMemo(
    () => circuit && layout({ count: circuit.blocks.length, edges: circuit.edges }),
    [circuit],
  );
  const summary = circuit ? circuitSummary(circuit) : "no circuit yet";
  const tools = circuit && (
    <button type="button" aria-pressed={table} onClick={() => setTable(!table)} title="The same blocks as a table">
      Table
    </button>
  );
  return (
    <Pane name="circuit" title="Circuit" summary={summary} tools={tools}>
      {!circuit || !placement ? (
        <p className="pcb-empty">
          Nothing to draw yet. Set <code>workbench.circuit</code>, or call <code>show(circuit)</code>.
        </p>
      ) : table ? (
        <BlockTable store={store} circuit={circuit} />
      ) : (
        <Canvas store={store} palette={palette} circuit={circuit} placement={placement} />
      )}
    </Pane>
  );
}

function circuitSummary(circuit: Circuit): string {
  const nodes = circuit.blocks.reduce((sum, block) => sum + block.nodes, 0);
  const parameters = circuit.blocks.reduce((sum, block) => sum + block.parameters, 0);
  return [
    plural(circuit.variables, "variable"),
    plural(circuit.blocks.length, "block"),
    `${count(nodes)} nodes`,
    `${count(parameters)} parameters`,
  ].join(" · ");
}

interface CanvasProps extends Props {
  circuit: Circuit;
  placement: Placement;
}

function Canvas({ store, palette, circuit, placement }: CanvasProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const size = useSize(frame);
  const selection = useStore(store, (s) => s.selection);
  const [moved, setCamera] = useState<Camera | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const [focused, setFocused] = useState<number | null>(null);
  const [pointer, setPointer] = useState({ x: 0, y: 0 });
  const camera = moved ?? fit(placement, size);
  const middle = { x: size.width / 2, y: size.height / 2 };

  useEffect(() => {
    setCamera(null);
    setHovered(null);
    setFocused(null);
  }, [placement]);

  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (context) draw(context, { circuit, placement, camera, palette, selection, hovered, focused, ...size });
  });
  useWheel(canvas, (factor, at) => setCamera(zoom(camera, factor, at)));

  const at = (event: PointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const under = (point: { x: number; y: number }) => {
    const world = toWorld(camera, point.x, point.y);
    return hit(circuit, placement, world.x, world.y, 5 / camera.scale);
  };
  const choose = (index: number | null) => selectBlocks(store, index === null ? [] : [circuit.blocks[index].id]);
  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { ...at(event), moved: false };
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const point = at(event);
    const start = drag.current;
    if (start === null) {
      setPointer(point);
      return setHovered(under(point));
    }
    const [dx, dy] = [point.x - start.x, point.y - start.y];
    if (!start.moved && Math.hypot(dx, dy) < DRAG_THRESHOLD) return;
    drag.current = { ...point, moved: true };
    setCamera({ ...camera, x: camera.x + dx, y: camera.y + dy });
  };
  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    const wasClick = drag.current !== null && !drag.current.moved;
    drag.current = null;
    if (!wasClick) return;
    const index = under(at(event));
    setFocused(index);
    choose(index);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const direction = DIRECTIONS[event.key];
    if (direction) {
      const next = neighbour(circuit, placement, focused, direction);
      setFocused(next);
      if (next !== null) {
        choose(next);
        setCamera(reveal(camera, { x: placement.x[next], y: placement.y[next] }, size));
      }
    } else if (event.key === "+" || event.key === "=") setCamera(zoom(camera, 1.3, middle));
    else if (event.key === "-") setCamera(zoom(camera, 1 / 1.3, middle));
    else if (event.key === "0") setCamera(null);
    else if (event.key === "Escape") {
      setFocused(null);
      choose(null);
    } else return;
    event.preventDefault();
  };

  const told = hovered ?? null;
  return (
    <div className="pcb-canvas-frame" ref={frame}>
      <canvas
        ref={canvas}
        className="pcb-canvas"
        tabIndex={0}
        role="application"
        aria-label={`Circuit, ${plural(circuit.blocks.length, "block")}. Arrow keys walk, plus and minus zoom, 0 fits.`}
        data-blocks={circuit.blocks.length}
        data-scale={camera.scale.toFixed(4)}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={onPointerUp}
        onPointerLeave={() => setHovered(null)}
        onDblClick={() => setCamera(null)}
        onKeyDown={onKeyDown}
      />
      <Zoom onZoom={(f) => setCamera(zoom(camera, f, middle))} onFit={() => setCamera(null)} />
      <Legend />
      {told !== null && <Tooltip block={circuit.blocks[told]} at={pointer} size={size} />}
      <div className="pcb-hidden" aria-live="polite">
        {focused !== null ? describe(circuit.blocks[focused]) : ""}
      </div>
    </div>
  );
}

/** React listens to the wheel passively, and then the page would scroll along. Scrolling needs no key; zooming does. */
export function useWheel(
  canvas: React.RefObject<HTMLElement | null>,
  onZoom: (factor: number, at: { x: number; y: number }) => void,
): void {
  const latest = useRef(onZoom);
  latest.current = onZoom;
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const listener = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== element) return;
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const at = { x: event.clientX - box.left, y: event.clientY - box.top };
      latest.current(Math.exp(-0.0016 * event.deltaY), at);
    };
    element.addEventListener("wheel", listener, { passive: false });
    return () => element.removeEventListener("wheel", listener);
  }, [canvas]);
}

function Zoom({ onZoom, onFit }: { onZoom: (factor: number) => void; onFit: () => void }) {
  return (
    <div className="pcb-zoom">
      <button type="button" onClick={() => onZoom(1.3)} aria-label="Zoom in" title="Zoom in (+)">
        +
      </button>
      <button type="button" onClick={() => onZoom(1 / 1.3)} aria-label="Zoom out" title="Zoom out (-)">
        −
      </button>
      <button type="button" onClick={onFit} aria-label="Fit the circuit" title="Fit (0)">
        ⤢
      </button>
    </div>
  );
}

function Legend() {
  return (
    <ul className="pcb-legend" aria-label="Kinds of block">
      {(["sum", "product", "input"] as const).map((kind) => (
        <li key={kind}>
          <Glyph kind={kind} /> {kind}
        </li>
      ))}
    </ul>
  );
}

export function Glyph({ kind }: { kind: Block["kind"] }) {
  return (
    <span className={`pcb-glyph pcb-glyph-${kind}`} aria-hidden="true">
      {SYMBOL[kind]}
    </span>
  );
}

function Tooltip({ block, at, size }: { block: Block; at: { x: number; y: number }; size: { width: number; height: number } }) {
  const left = Math.max(8, Math.min(at.x + 16, size.width - 250));
  const top = at.y > size.height - 150 ? at.y - 130 : at.y + 16;
  return (
    <div className="pcb-tooltip" role="tooltip" style={{ left, top }} data-block={block.id}>
      <strong>
        <Glyph kind={block.kind} /> {block.name}
      </strong>
      <dl>
        <dt>nodes</dt>
        <dd>{block.nodes.toLocaleString("en")}</dd>
        <dt>scope</dt>
        <dd>
          {block.scope} <span className="pcb-muted">({block.scopeSize})</span>
        </dd>
        <dt>parameters</dt>
        <dd>{block.parameters.toLocaleString("en")}</dd>
      </dl>
      {block.detail && <p>{block.detail}</p>}
    </div>
  );
}
