// The circuit: a canvas that pans, zooms, tells what is under the pointer and is driven by keys; and its table twin.

import { useEffect, useMemo, useState, type KeyboardEvent } from "react";
import { useStore } from "zustand";
import { count, plural, sorted } from "../format";
import { Pane } from "../Pane";
import type { Block, Circuit } from "../protocol";
import { fit, type Camera } from "../stage/camera";
import { usePainting, usePan, useStage, useSurface, Zoom, zoomKey, type Point } from "../stage/stage";
import { hoverBlocks, selectBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import { BlockTable } from "./BlockTable";
import { draw, hit, SYMBOL } from "./draw";
import { layout, type Placement } from "./layout";
import { neighbour, type Direction } from "./walk";

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
  const surface = useSurface();
  const { canvas, size } = surface;
  const selection = useStore(store, (s) => s.selection);
  const hovered = useStore(store, (s) => s.hovered);
  const [moved, setCamera] = useState<Camera | null>(null);
  const [told, setTold] = useState<number | null>(null);
  const [focused, setFocused] = useState<number | null>(null);
  const [pointer, setPointer] = useState({ x: 0, y: 0 });
  const stage = useStage({ surface, whole: fit(placement, size), moved, setCamera, home: canvas });
  const { camera } = stage;

  useEffect(() => {
    setCamera(null);
    setTold(null);
    setFocused(null);
  }, [placement]);

  usePainting(surface, (context) => draw(context, { circuit, placement, camera, palette, selection, hovered, focused, ...size }));

  const under = (world: Point) => hit(circuit, placement, world.x, world.y, 5 / camera.scale);
  const choose = (index: number | null) => selectBlocks(store, index === null ? [] : [circuit.blocks[index].id]);
  const pan = usePan(stage, {
    hover: (world, at) => {
      const index = world && under(world);
      setPointer(at);
      setTold(index);
      hoverBlocks(store, index === null ? [] : [circuit.blocks[index].id]);
    },
    click: (world) => {
      const index = under(world);
      setFocused(index);
      choose(index);
    },
  });
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const direction = DIRECTIONS[event.key];
    if (direction) {
      const next = neighbour(circuit, placement, focused, direction);
      setFocused(next);
      if (next !== null) {
        choose(next);
        stage.reveal({ x: placement.x[next], y: placement.y[next] });
      }
    } else if (event.key === "Escape") {
      setFocused(null);
      choose(null);
    } else if (!zoomKey(stage, event.key)) return;
    event.preventDefault();
  };

  return (
    <div className="pcb-canvas-frame" ref={surface.frame}>
      <canvas
        ref={canvas}
        className="pcb-canvas"
        tabIndex={0}
        role="application"
        aria-label={`Circuit, ${plural(circuit.blocks.length, "block")}. Arrow keys walk, plus and minus zoom, 0 fits.`}
        data-blocks={circuit.blocks.length}
        data-scale={camera.scale.toFixed(4)}
        data-hovered={sorted(hovered)}
        {...pan}
        onDblClick={stage.fit}
        onKeyDown={onKeyDown}
      />
      <Zoom zoom={stage.zoom} fit={stage.fit} />
      <Legend />
      {told !== null && <Tooltip block={circuit.blocks[told]} at={pointer} size={size} />}
      <div className="pcb-hidden" aria-live="polite">
        {focused !== null ? describe(circuit.blocks[focused]) : ""}
      </div>
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
