// What Triton compiled for a layer and a GPU that need not be here: instructions, registers, spills, shared memory, bounds.

import { useState } from "react";
import { useStore } from "zustand";
import { bytes } from "../format";
import type { Layer } from "../protocol";
import type { KernelState, ProgramPart } from "./part";

/** What the beginning of an instruction's name says to those who do not know it. */
const UNITS: Record<string, string> = {
  "mma.sync": "Tensor Cores, a warp at a time",
  "wgmma.mma_async": "Tensor Cores, four warps together (Hopper)",
  "tcgen05.mma": "Tensor Cores with a memory of their own (Blackwell)",
};

export function Kernels({ part, layer }: { part: ProgramPart; layer: Layer }) {
  const choices = useStore(part.store, (s) => s.kernels);
  const state = useStore(part.store, (s) => s.kernel);
  const [target, setTarget] = useState(90);
  const [precision, setPrecision] = useState("fast");
  if (!choices) return null;
  const here = state && state.layer === layer.index ? state : null;
  const running = here !== null && !here.done;
  return (
    <div className="pcb-kernels pcb-scroll" tabIndex={0} role="region" aria-label="Compiled kernels" data-done={here?.done ?? ""} data-rows={here?.rows.length ?? 0}>
      <div className="pcb-map-tools">
        <label>
          for{" "}
          <select aria-label="GPU" value={target} onChange={(event) => setTarget(Number(event.currentTarget.value))}>
            {choices.targets.map(({ capability, gpu }) => <option key={capability} value={capability}>sm_{capability} ({gpu})</option>)}
          </select>
        </label>
        <select aria-label="Precision" value={precision} onChange={(event) => setPrecision(event.currentTarget.value)}>
          {choices.precisions.map((name) => <option key={name}>{name}</option>)}
        </select>
        <button type="button" className="pcb-primary" disabled={running || choices.why !== ""} onClick={() => void part.ask("compile", { layer: layer.index, target, precision })}>Compile</button>
        {running && <button type="button" onClick={() => void part.ask("cancel")}>Cancel</button>}
        {running && <span role="status" className="pcb-muted">{here.total ? `${here.rows.length} of ${here.total} kernels` : "starting the compiler"} …</span>}
      </div>
      {choices.why ? (
        <p className="pcb-empty" role="alert">{choices.why}</p>
      ) : !here ? (
        <p className="pcb-empty">
          Compile the kernels of layer {layer.index} for a GPU: no GPU is needed for it. It takes some seconds, in a process of its own.
        </p>
      ) : (
        <Found state={here} />
      )}
    </div>
  );
}

function Found({ state }: { state: KernelState }) {
  const { rows, roofline, error } = state;
  return (
    <>
      {error && <p className={error === "cancelled" ? "pcb-muted pcb-note" : "pcb-error pcb-note"} role="alert">{error}</p>}
      {state.done && !error && rows.length === 0 && (
        <p className="pcb-note">No launch of its own: the layers above look its leaves up as they need them.</p>
      )}
      {rows.length > 0 && (
        <table className="pcb-table" aria-label="Compiled kernels">
          <thead>
            <tr>
              <th scope="col">Kernel</th>
              <th scope="col">Tensor Cores</th>
              <th scope="col" className="pcb-number" title="Of a thread, 32 bits each">Registers</th>
              <th scope="col" className="pcb-number" title="Bytes of a thread in slow memory, where registers did not suffice">Spills</th>
              <th scope="col" className="pcb-number" title="Of a block of threads">Shared</th>
              <th scope="col" title="Warps that a multiprocessor holds at a time, and what keeps it from more">Warps</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row, i) => (
              <tr key={i} data-kernel={row.kernel}>
                <th scope="row"><code>{row.kernel}</code><small>{row.pass}</small></th>
                <td>
                  {row.instructions.length ? row.instructions.map((name) => <code key={name} title={UNITS[name]}>{name}</code>) : "none"}
                </td>
                <td className="pcb-number">{row.registers}</td>
                <td className="pcb-number">{row.spills ? bytes(row.spills) : "0"}</td>
                <td className="pcb-number">{bytes(row.shared_bytes)}</td>
                <td>{row.resident_warps} of {row.most_warps}<small>{row.limited_by}</small></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {roofline && (
        <p className="pcb-note" data-bound={roofline.by}>
          <b>Bound by {roofline.by}.</b> By the data sheet of an {state.gpu} a step on {state.batch} rows takes this layer at least{" "}
          {micros(roofline.compute_us)} of arithmetic and {micros(roofline.memory_us)} of memory traffic:{" "}
          {roofline.intensity.toFixed(0)} operations a byte, where the GPU needs {roofline.balance.toFixed(0)} to be busy.
        </p>
      )}
    </>
  );
}

const micros = (value: number) => (value < 1000 ? `${value.toPrecision(2)} µs` : `${(value / 1000).toPrecision(3)} ms`);
