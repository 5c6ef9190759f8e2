// The compiled layout: one line a layer, and for the chosen layer why its kernel runs and how its blocks are filled.

import { useStore } from "zustand";
import { Glyph } from "../circuit/CircuitPane";
import { bytes, count, percent, plural } from "../format";
import { Pane } from "../Pane";
import type { Layer, Program } from "../protocol";
import { selectLayer, type Store } from "../store";
import type { Palette } from "../theme";
import { MemoryRuler } from "./MemoryRuler";
import { OccupancyMap } from "./OccupancyMap";

interface Props {
  store: Store;
  palette: Palette;
}

export function ProgramPane({ store, palette }: Props) {
  const program = useStore(store, (s) => s.program);
  const summary = program
    ? [program.device, program.dtype, plural(program.layers.length, "layer")].join(" · ")
    : "not compiled yet";
  return (
    <Pane name="program" title="Compiled layout" summary={summary}>
      {program ? (
        <div className="pcb-program">
          <LayerStrip store={store} program={program} />
          <MemoryRuler memory={program.memory} />
          <LayerDetail store={store} palette={palette} program={program} />
        </div>
      ) : (
        <p className="pcb-empty">
          Nothing is compiled yet. Set <code>workbench.program</code>, or call <code>layout(program)</code>.
        </p>
      )}
    </Pane>
  );
}

function Bar({ share, text, warn = false }: { share: number; text: string; warn?: boolean }) {
  const width = `${Math.max(0, Math.min(100, 100 * share)).toFixed(1)}%`;
  return (
    <span className="pcb-bar">
      <i className={warn ? "pcb-warn" : ""} style={{ width }} aria-hidden="true" />
      <b>{text}</b>
    </span>
  );
}

function LayerStrip({ store, program }: { store: Store; program: Program }) {
  const selected = useStore(store, (s) => s.selectedLayer);
  const most = Math.max(1, ...program.layers.map((layer) => layer.flops));
  const largest = Math.max(1, ...program.layers.map((layer) => layer.parameter_bytes + layer.value_bytes));
  // Top of the circuit first, as in the picture beside it.
  const layers = [...program.layers].reverse();
  return (
    <div className="pcb-scroll pcb-strip">
      <table className="pcb-table" aria-label="Layers of the program">
        <thead>
          <tr>
            <th scope="col">Layer</th>
            <th scope="col">Kernel</th>
            <th scope="col" className="pcb-number">Blocks</th>
            <th scope="col" className="pcb-number">Nodes</th>
            <th scope="col" className="pcb-number">Edges</th>
            <th scope="col" title="Share of the stored weights that are padding">Padding</th>
            <th scope="col" title="Floating-point operations a sample">FLOPs</th>
            <th scope="col" title="Parameters, and values a sample">Bytes</th>
          </tr>
        </thead>
        <tbody>
          {layers.map((layer) => (
            <LayerRow
              key={layer.index}
              layer={layer}
              most={most}
              largest={largest}
              selected={layer.index === selected}
              onSelect={() => selectLayer(store, layer.index === selected ? null : layer.index)}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  layer: Layer;
  most: number;
  largest: number;
  selected: boolean;
  onSelect: () => void;
}

function LayerRow({ layer, most, largest, selected, onSelect }: RowProps) {
  const total = layer.parameter_bytes + layer.value_bytes;
  const sizes = `${bytes(layer.parameter_bytes)} of parameters, ${bytes(layer.value_bytes)} of values a sample`;
  return (
    <tr aria-selected={selected} data-layer={layer.index} onClick={onSelect}>
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
      <td title={layer.why}>
        <code>{layer.kernel}</code>
      </td>
      <td className="pcb-number">{count(layer.blocks.length)}</td>
      <td className="pcb-number">{count(layer.nodes)}</td>
      <td className="pcb-number">{count(layer.edges)}</td>
      <td>
        <Bar share={layer.padding} text={percent(layer.padding)} warn={layer.padding > 0.25} />
      </td>
      <td>
        <Bar share={layer.flops / most} text={count(layer.flops)} />
      </td>
      <td title={sizes}>
        <Bar share={total / largest} text={bytes(total)} />
      </td>
    </tr>
  );
}

function LayerDetail({ store, palette, program }: Props & { program: Program }) {
  const selected = useStore(store, (s) => s.selectedLayer);
  const occupancy = useStore(store, (s) => s.occupancy);
  const layer = program.layers.find((candidate) => candidate.index === selected);
  if (!layer) return <p className="pcb-hint">Choose a layer to see why its kernel runs, and to light its blocks in the circuit.</p>;
  return (
    <div className="pcb-detail" data-detail={layer.index}>
      <div>
        <h3>
          Layer {layer.index}: <code>{layer.kernel}</code>
        </h3>
        <p>{layer.why}</p>
        {layer.rejected.length > 0 && (
          <ul className="pcb-rejected">
            {layer.rejected.map((other) => (
              <li key={other.kernel}>
                <s>{other.kernel}</s> {other.reason}
              </li>
            ))}
          </ul>
        )}
        <p className="pcb-muted">
          {plural(layer.groups, "group")} · {plural(layer.elements, "element")} ·{" "}
          {layer.tiles ? `${plural(layer.tiles, "tile")} of ${layer.tile_size} × ${layer.tile_size}` : "no weight tiles"}
        </p>
      </div>
      {occupancy?.layer === layer.index && occupancy.cells.length > 0 && (
        <OccupancyMap occupancy={occupancy} palette={palette} />
      )}
    </div>
  );
}
