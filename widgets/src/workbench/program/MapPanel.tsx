// The map of a sum layer's weights with what steers it: which block, coloured by what, as a picture or as a table.

import { useEffect, type Ref } from "react";
import { useStore } from "zustand";
import { percent } from "../format";
import { NumberInput } from "../NumberInput";
import type { Layer } from "../protocol";
import type { Store } from "../store";
import type { Palette } from "../theme";
import { MapTable } from "./MapTable";
import { MapView, type MapControls } from "./MapView";
import { colorOf } from "./paint";
import { MODES, type MapInfo, type Mode, type ProgramPart, type ProgramState } from "./part";

interface Props {
  store: Store;
  part: ProgramPart;
  layer: Layer;
  block: number;
  palette: Palette;
  table: boolean;
  controls: Ref<MapControls>;
  onBlock: (block: number) => void;
  onPin: (row: number, col: number) => void;
  onUnpin: () => void;
}

const MEANS: Record<Mode, string> = {
  occupancy: "Where there are edges",
  weight: "The edges' weights, on a scale of powers of ten",
  flow: "How much probability runs through the edges",
  padding: "Cells that are stored and multiplied, and hold no edge",
};

export function MapPanel({ store, part, layer, block, palette, table, controls, onBlock, onPin, onUnpin }: Props) {
  const state = useStore(part.store);
  useEffect(() => {
    if (layer.kind === "sum") void part.show(layer.index, block);
  }, [part, layer, block, state.program]);
  if (layer.kind !== "sum") {
    return (
      <p className="pcb-empty">
        A layer of {layer.kind === "input" ? "leaves" : "products"} has no map of weights. Choose a sum layer (+) to see one.
      </p>
    );
  }
  // Until the next map has come, the one before stays: what has the focus must not vanish.
  const map = state.map;
  const lacking = (state.mode === "weight" || state.mode === "flow") && !state.weights ? state.why : "";
  return (
    <div className="pcb-map-panel">
      <div className="pcb-map-tools">
        {layer.groups > 1 && (
          <label>
            Block{" "}
            <NumberInput min={1} max={layer.groups} value={block + 1} onText={(text) => onBlock(Math.max(0, Math.min(layer.groups - 1, Number(text) - 1)))} />
            {" "}of {layer.groups.toLocaleString("en")}
          </label>
        )}
        <div role="group" aria-label="Colour by" className="pcb-modes">
          {MODES.map((mode) => (
            <button key={mode} type="button" aria-pressed={state.mode === mode} title={`${MEANS[mode]} (M: next)`} onClick={() => part.setMode(mode)}>{mode}</button>
          ))}
        </div>
        <strong className="pcb-map-name">{map?.labels[map.block]}</strong>
      </div>
      {state.error && !lacking ? (
        <p className="pcb-empty" role="alert">{state.error}</p>
      ) : lacking ? (
        <p className="pcb-empty" data-lacking={state.mode}>{lacking}</p>
      ) : !map ? (
        <p className="pcb-empty">Reading the weights …</p>
      ) : (
        <>
          {table ? <MapTable part={part} map={map} /> : <MapView {...{ store, part, map, palette, controls, onPin, onUnpin }} />}
          <Legend {...{ state, map, palette }} />
        </>
      )}
    </div>
  );
}

function Legend({ state, map, palette }: { state: ProgramState; map: MapInfo; palette: Palette }) {
  const { mode, largest, flows } = state;
  const cells = map.rows * map.cols;
  const ramp = `linear-gradient(90deg, color-mix(in srgb, ${colorOf(mode, palette)} 12%, transparent), ${colorOf(mode, palette)})`;
  const valued = mode === "weight" || mode === "flow";
  const least = largest * 10 ** -map.decades;
  const about = {
    occupancy: `${map.edges.toLocaleString("en")} edges fill ${percent(map.edges / cells)} of ${map.rows.toLocaleString("en")} × ${map.cols.toLocaleString("en")} cells`,
    weight: "mean of the edges beneath a pixel; each node's weights add up to 1",
    flow: flows === "nothing observed" ? "with nothing observed: how often a sample takes the edge" : `expected counts over ${flows}`,
    padding: map.padding ? `${map.padding.toLocaleString("en")} cells are padding: ${percent(map.padding / cells)}` : "nothing is stored beside the edges",
  }[mode];
  return (
    <p className="pcb-map-legend">
      <span>{valued ? `≤ ${least.toPrecision(2)}` : "0 %"}</span>
      <i style={{ background: ramp }} aria-hidden="true" />
      <span>{valued ? largest.toPrecision(3) : "100 %"}</span>
      <span className="pcb-muted" title={about}>{about}</span>
    </p>
  );
}
