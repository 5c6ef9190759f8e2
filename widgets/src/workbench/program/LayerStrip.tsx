// One line a layer, the top of the circuit first: what runs it, how large it is, and what of it is padding.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import { useStore } from "zustand";
import { Glyph } from "../circuit/CircuitPane";
import { bytes, count, percent } from "../format";
import { layersOf } from "../layers";
import type { Layer, Program } from "../protocol";
import { hoverBlocks, type Store } from "../store";

interface Props {
  store: Store;
  program: Program;
  /** The layer that was chosen, and the one whose map is open. */
  selected: number | null;
  shown: number | null;
  onSelect: (layer: number) => void;
}

const HEADS: [string, string, boolean?][] = [
  ["Layer", "Evaluated from the bottom to the top"],
  ["Kernel", "What runs it; point at it to read why"],
  ["Blocks", "Blocks of one shape, evaluated together", true],
  ["Shape", "Elements → nodes of a block", true],
  ["Edges", "Edges of all blocks", true],
  ["Padding", "Share of what the kernel multiplies that is no edge"],
  ["FLOPs", "Floating-point operations a sample and training step"],
  ["Bytes", "Parameters, and values and flows a sample"],
  ["TC", "Tensor Cores: whether the products can run there"],
];

export function LayerStrip({ store, program, selected, shown, onSelect }: Props) {
  const body = useRef<HTMLTableSectionElement>(null);
  const most = Math.max(1, ...program.layers.map((layer) => layer.flops));
  const largest = Math.max(1, ...program.layers.map((layer) => layer.parameter_bytes + layer.value_bytes));
  const layers = [...program.layers].reverse();
  const lit = useLit(store, program);
  const [high, setHigh] = useState(27);
  const [top, setTop] = useState(0);
  const first = Math.max(0, Math.min(Math.floor(top / high) - SPARE, layers.length - WINDOW));
  const rows = layers.slice(first, first + WINDOW);
  useEffect(() => {
    const row = body.current?.querySelector<HTMLElement>("tr[data-layer]");
    if (row?.offsetHeight) setHigh(row.offsetHeight);
  }, [program]);
  useEffect(() => {
    // By hand: scrollIntoView() would scroll the notebook, too, and the row may not be there yet.
    const strip = body.current?.closest<HTMLElement>(".pcb-strip");
    const at = layers.findIndex((layer) => layer.index === shown);
    if (!strip || at < 0) return;
    const least = (at + 2) * high - strip.clientHeight;
    strip.scrollTop = Math.min(at * high, Math.max(strip.scrollTop, Math.ceil(least / high) * high));
  }, [shown, program, high]);
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...body.current!.querySelectorAll<HTMLElement>("button")];
    buttons[buttons.indexOf(document.activeElement as HTMLElement) + step]?.focus();
    event.preventDefault();
  };
  return (
    <div className="pcb-scroll pcb-strip" tabIndex={0} role="region" aria-label="Layers" onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <table className="pcb-table" aria-label="Layers of the program" aria-rowcount={layers.length + 1}>
        <thead>
          <tr>
            {HEADS.map(([name, title, number]) => (
              <th key={name} scope="col" title={title} className={number ? "pcb-number" : undefined}>{name}</th>
            ))}
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={onKeyDown}>
          <Gap rows={first} high={high} />
          {rows.map((layer, i) => (
            <Row
              key={layer.index}
              {...{ layer, most, largest }}
              at={first + i + 2}
              selected={layer.index === selected}
              shown={layer.index === shown}
              lit={lit.has(layer.index)}
              onHover={(on) => hoverBlocks(store, on ? layer.blocks : [])}
              onSelect={() => onSelect(layer.index)}
            />
          ))}
          <Gap rows={layers.length - first - rows.length} high={high} />
        </tbody>
      </table>
    </div>
  );
}

/** Layers that hold what the pointer is on, in whichever pane. */
function useLit(store: Store, program: Program): ReadonlySet<number | undefined> {
  const hovered = useStore(store, (s) => s.hovered);
  const circuit = useStore(store, (s) => s.circuit);
  const layerOf = useMemo(() => layersOf(program, circuit), [program, circuit]);
  return useMemo(() => new Set([...hovered].map((block) => layerOf.get(block))), [hovered, layerOf]);
}

/** Rows that are not drawn: an HMM of 4,096 steps has as many layers. */
const [WINDOW, SPARE] = [120, 40];

function Gap({ rows, high }: { rows: number; high: number }) {
  return rows > 0 ? <tr aria-hidden="true" style={{ height: rows * high }} /> : null;
}

const tight = (value: number) => (value < 10_000 ? String(value) : count(value).replace(" ", ""));

export function Bar({ share, text, warn = false }: { share: number; text: string; warn?: boolean }) {
  const width = `${Math.max(0, Math.min(100, 100 * share)).toFixed(1)}%`;
  return (
    <span className="pcb-bar">
      <i className={warn ? "pcb-warn" : ""} style={{ width }} aria-hidden="true" />
      <b>{text}</b>
    </span>
  );
}

interface RowProps {
  layer: Layer;
  /** Row of the whole table, the head counted. */
  at: number;
  most: number;
  largest: number;
  selected: boolean;
  shown: boolean;
  lit: boolean;
  onHover: (on: boolean) => void;
  onSelect: () => void;
}

function Row({ layer, at, most, largest, selected, shown, lit, onHover, onSelect }: RowProps) {
  const total = layer.parameter_bytes + layer.value_bytes;
  const sizes = `${bytes(layer.parameter_bytes)} of parameters, ${bytes(layer.value_bytes)} of values and flows a sample`;
  const { eligible, reason } = layer.tensor_cores;
  const whole = `${percent(layer.tile_padding)} if whole tiles of ${layer.tile_size} × ${layer.tile_size} were stored`;
  return (
    <tr
      aria-rowindex={at} aria-selected={selected} data-layer={layer.index} data-shown={shown} data-lit={lit}
      onClick={onSelect} onPointerEnter={() => onHover(true)} onPointerLeave={() => onHover(false)}
    >
      <th scope="row">
        <button
          type="button"
          className="pcb-link"
          aria-pressed={selected}
          onClick={(event) => {
            event.stopPropagation();
            onSelect();
          }}
        >
          <Glyph kind={layer.kind} /> {layer.index}
          <span className="pcb-hidden"> {layer.kind} layer</span>
        </button>
      </th>
      <td title={layer.why}><code>{layer.kernel}</code></td>
      <td className="pcb-number">{count(layer.blocks.length)}</td>
      <td className="pcb-number">{layer.kind === "input" ? "" : `${tight(layer.elements)} → `}{tight(layer.nodes)}</td>
      <td className="pcb-number">{count(layer.edges)}</td>
      <td title={layer.edges ? whole : undefined}>
        <Bar share={layer.padding} text={percent(layer.padding)} warn={layer.padding > 0.25} />
      </td>
      <td>
        <Bar share={layer.flops / most} text={count(layer.flops)} />
      </td>
      <td title={sizes}>
        <Bar share={total / largest} text={bytes(total)} />
      </td>
      <td title={reason} data-eligible={eligible}>
        <span aria-hidden="true">{eligible ? "✓" : "–"}</span>
        <span className="pcb-hidden">{eligible ? "yes" : "no"}</span>
      </td>
    </tr>
  );
}
