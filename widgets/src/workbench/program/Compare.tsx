// Two compilations of the circuit side by side: what another block size or precision changes, in all and layer by layer.

import { useEffect, useState } from "react";
import { useStore } from "zustand";
import { bytes, count, percent } from "../format";
import { Bar } from "./LayerStrip";
import type { Choices, ProgramPart } from "./part";

interface Way {
  tile: number;
  precision: string;
}

interface LayerSummary {
  index: number;
  kind: string;
  kernel: string;
  edges: number;
  tiles: number;
  padding: number;
  tile_padding: number;
  flops: number;
  parameter_bytes: number;
  value_bytes: number;
  tensor_cores: boolean;
}

interface Summary extends Way {
  totals: Record<string, number>;
  layers: LayerSummary[];
}

const ROWS: [string, string, (value: number) => string][] = [
  ["tile_padding", "Padding, if whole blocks were stored", percent],
  ["padding", "Padding that the kernels multiply", percent],
  ["tiles", "Blocks with an edge", (value) => value.toLocaleString("en")],
  ["parameter_bytes", "Parameters", bytes],
  ["value_bytes", "Values and flows, a sample", bytes],
  ["flops", "FLOPs, a sample and step", count],
  ["tensor_cores", "Layers for Tensor Cores", String],
];

export function Compare({ part, choices }: { part: ProgramPart; choices: Choices }) {
  const program = useStore(part.store, (s) => s.program);
  const [left, setLeft] = useState<Way>({ tile: choices.tile, precision: choices.precision });
  const [right, setRight] = useState<Way>({ tile: choices.tiles.find((tile) => tile !== choices.tile)!, precision: choices.precision });
  const [a, b] = [useSummary(part, left, program), useSummary(part, right, program)];
  const ready = typeof a === "object" && typeof b === "object" ? ([a, b] as const) : null;
  const error = [a, b].find((side): side is string => typeof side === "string" && side !== "");
  return (
    <div className="pcb-compare pcb-scroll" tabIndex={0} role="region" aria-label="Comparison" data-ready={ready !== null}>
      <table className="pcb-table" aria-label="Two compilations">
        <thead>
          <tr>
            <th scope="col">Compiled with</th>
            <th scope="col"><Chooser name="left" way={left} onWay={setLeft} choices={choices} /></th>
            <th scope="col"><Chooser name="right" way={right} onWay={setRight} choices={choices} /></th>
            <th scope="col">Change</th>
          </tr>
        </thead>
        <tbody>
          {ROWS.map(([key, title, format]) => (
            <tr key={key} data-row={key}>
              <th scope="row">{title}</th>
              <td>{ready ? <Cell name={key} value={totalOf(ready[0], key)} format={format} /> : "…"}</td>
              <td>{ready ? <Cell name={key} value={totalOf(ready[1], key)} format={format} /> : "…"}</td>
              <td className="pcb-number">{ready && change(totalOf(ready[0], key), totalOf(ready[1], key), key)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {error && <p className="pcb-error" role="alert">{error}</p>}
      {!ready && !error && <p className="pcb-muted" role="status">Compiling …</p>}
      {ready && <Layers a={ready[0]} b={ready[1]} />}
    </div>
  );
}

const MOST = 100;

function Layers({ a, b }: { a: Summary; b: Summary }) {
  const all = [...a.layers].reverse().filter((layer) => layer.kind === "sum");
  // Of very many those that change the most: nobody reads thousands of equal lines.
  const change = (layer: LayerSummary) => Math.abs(layer.tile_padding - (b.layers[layer.index]?.tile_padding ?? 0));
  const sums = all.length > MOST ? [...all].sort((x, y) => change(y) - change(x)).slice(0, MOST) : all;
  return (
    <table className="pcb-table" aria-label="Layer by layer">
      <thead>
        <tr>
          <th scope="col">Sum layer{all.length > MOST && ` (${MOST} of ${all.length.toLocaleString("en")}, those that change most)`}</th>
          <th scope="col">Padding in blocks of {a.tile}</th>
          <th scope="col">Padding in blocks of {b.tile}</th>
          <th scope="col">Kernels</th>
        </tr>
      </thead>
      <tbody>
        {sums.map((layer) => {
          const other = b.layers[layer.index];
          return (
            <tr key={layer.index} data-layer-row={layer.index}>
              <th scope="row">{layer.index}</th>
              <td data-value={layer.tile_padding}><Bar share={layer.tile_padding} text={percent(layer.tile_padding)} warn={layer.tile_padding > 0.25} /></td>
              <td data-value={other?.tile_padding}>{other && <Bar share={other.tile_padding} text={percent(other.tile_padding)} warn={other.tile_padding > 0.25} />}</td>
              <td><code>{layer.kernel}</code>{other && other.kernel !== layer.kernel && <> → <code>{other.kernel}</code></>}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Chooser({ name, way, onWay, choices }: { name: string; way: Way; onWay: (way: Way) => void; choices: Choices }) {
  return (
    <span className="pcb-chooser">
      <label>
        blocks of{" "}
        <select aria-label={`Block size, ${name}`} value={way.tile} onChange={(event) => onWay({ ...way, tile: Number(event.currentTarget.value) })}>
          {choices.tiles.map((tile) => <option key={tile} value={tile}>{tile}</option>)}
        </select>
      </label>
      <select aria-label={`Precision, ${name}`} value={way.precision} onChange={(event) => onWay({ ...way, precision: event.currentTarget.value })}>
        {choices.precisions.map((precision) => <option key={precision}>{precision}</option>)}
      </select>
    </span>
  );
}

function Cell({ name, value, format }: { name: string; value: number; format: (value: number) => string }) {
  const text = format(value);
  return <span data-value={value}>{name.endsWith("padding") ? <Bar share={value} text={text} warn={value > 0.25} /> : text}</span>;
}

function totalOf(summary: Summary, key: string): number {
  return key === "tensor_cores" ? summary.layers.filter((layer) => layer.tensor_cores).length : summary.totals[key];
}

function change(before: number, after: number, key: string): string {
  if (before === after) return "=";
  if (key.endsWith("padding")) return `${after > before ? "+" : "−"}${(100 * Math.abs(after - before)).toFixed(1)} points`;
  return before ? `× ${(after / before).toPrecision(3)}` : "";
}

/** A summary, what went wrong, or "" while it is compiled. */
function useSummary(part: ProgramPart, { tile, precision }: Way, program: number): Summary | string {
  const [got, setGot] = useState<Summary | string>("");
  useEffect(() => {
    let current = true;
    setGot("");
    void part.ask("compare", { tile, precision }).then((answer) => {
      if (current) setGot(answer.ok ? (answer as unknown as Summary) : (answer.text ?? "It failed."));
    });
    return () => void (current = false);
  }, [part, tile, precision, program]);
  return got;
}
