import { useState } from "react";
import { useStore } from "zustand";
import type { Status } from "../protocol";
import { command, type Store } from "../store";

interface Props {
  store: Store;
  step: number;
  last: NonNullable<Status["snapshot"]>;
}

/** Writes the model of the last complete step to a file; the run goes on. */
export function Snapshot({ store, step, last }: Props) {
  const gone = useStore(store, (s) => s.kernelGone);
  const [path, setPath] = useState("");
  return (
    <div className="pcb-chart-tools pcb-snapshot" data-snapshot={last.state}>
      <button
        type="button"
        title="Write the model of the last complete step to a file; the run goes on"
        disabled={gone || last.state === "writing"}
        onClick={() => command(store, "snapshot", path)}
      >
        Snapshot
      </button>
      <input
        type="search"
        aria-label="Snapshot file"
        placeholder={`snapshot-step-${step}.pcb`}
        value={path}
        onChange={(event) => setPath(event.currentTarget.value)}
      />
      <span className={last.state === "failed" ? "pcb-notice" : "pcb-muted"} role="status">
        {last.text}
      </span>
    </div>
  );
}
