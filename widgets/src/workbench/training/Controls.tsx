import { useEffect, useState } from "react";
import { useStore } from "zustand";
import { Field } from "../builder/Field";
import type { Command, Status } from "../protocol";
import { command, type Store } from "../store";

const PATIENCE_MS = 400;
const LIVE = ["running", "paused"];

const BUTTONS: { op: Command; label: string; when: string[]; hint: string }[] = [
  { op: "pause", label: "Pause", when: ["running"], hint: "Finish this step, then wait" },
  { op: "resume", label: "Resume", when: ["paused"], hint: "Go on" },
  { op: "step", label: "Step", when: ["paused"], hint: "One step, then wait again" },
  { op: "stop", label: "Stop", when: ["running", "paused"], hint: "Finish this step, then end" },
];

export function Controls({ store, status }: { store: Store; status: Status }) {
  const pending = useStore(store, (s) => s.pending);
  const notice = useStore(store, (s) => s.notice);
  const noticeOf = useStore(store, (s) => s.noticeOf);
  const gone = useStore(store, (s) => s.kernelGone);
  const waiting = useLate(pending?.since ?? null);
  return (
    <>
      <span className={`pcb-state pcb-state-${status.state}`} role="status">
        {status.state}
      </span>
      {waiting && <span className="pcb-waiting">waiting for the kernel …</span>}
      {notice && noticeOf !== "stepSize" && <span className="pcb-notice">{notice}</span>}
      {BUTTONS.map(({ op, label, when, hint }) => (
        <button
          key={op}
          type="button"
          title={hint}
          disabled={gone || !when.includes(status.state)}
          onClick={() => command(store, op)}
          data-op={op}
        >
          {label}
        </button>
      ))}
      {status.stepSize !== null && (
        <span className="pcb-step-size" title="Holds from the next step on; an empty field gives the method's own back">
          <Field
            label="step size"
            value={status.byHand ? String(status.stepSize) : ""}
            placeholder={status.stepSize.toPrecision(3)}
            disabled={gone || !LIVE.includes(status.state)}
            onCommit={(value) => command(store, "stepSize", value)}
          />
          {notice && noticeOf === "stepSize" && (
            <span className="pcb-notice" role="alert">
              {notice}
            </span>
          )}
        </span>
      )}
    </>
  );
}

/** True when a command went out a while ago and Python has not answered: a busy cell holds its messages back. */
function useLate(since: number | null): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (since === null) return;
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [since]);
  return late;
}
