// The training dashboard: state and buttons, the scores, four linked charts, and what happened when.

import { memo } from "react";
import { useStore } from "zustand";
import { bytes, count, plural, score, seconds } from "../format";
import { Pane } from "../Pane";
import type { Status } from "../protocol";
import type { Store } from "../store";
import type { Palette } from "../theme";
import { LinkedCharts } from "./LinkedCharts";
import { PARTS } from "./charts";
import { Controls } from "./Controls";
import { EventLog } from "./EventLog";
import { Numbers } from "./Numbers";
import { Snapshot } from "./Snapshot";
import { useSeq } from "./useSeq";

const ENDED = ["finished", "failed"];

interface Props {
  store: Store;
  palette: Palette;
}

/** Remembered: the workbench around it is drawn anew with every message of points, the charts need not be. */
export const TrainingPane = memo(function TrainingPane({ store, palette }: Props) {
  const status = useStore(store, (s) => s.status);
  const seq = useSeq(store);
  const summary = status ? `step ${status.step.toLocaleString("en")}, epoch ${status.epoch}` : "no run yet";
  return (
    <Pane name="training" title="Training" summary={summary} tools={status && <Controls store={store} status={status} />}>
      {status ? (
        <>
          {status.error && (
            <p className="pcb-banner" role="alert">
              Training failed after {plural(status.step, "step")}. {status.error}
            </p>
          )}
          <Progress status={status} />
          {status.snapshot && <Snapshot store={store} step={status.step} last={status.snapshot} />}
          <Scores store={store} />
          {seq > 0 ? (
            <LinkedCharts key={status.run} store={store} palette={palette} />
          ) : (
            <p className="pcb-hint">{ENDED.includes(status.state) ? "It ended before its first step." : "Waiting for the first step."}</p>
          )}
          {status.why && (
            <p className="pcb-slow">
              <b>Why slow</b> {status.why}
            </p>
          )}
          <div className="pcb-below">
            <EventLog store={store} />
            {seq > 0 && <Numbers store={store} />}
          </div>
          {status.machine.source !== "measured" && <p className="pcb-cores">{status.tensorCores}</p>}
        </>
      ) : (
        <p className="pcb-empty">
          Nothing trains yet. Start <code>run = fit(…, background=True)</code> and set <code>workbench.run = run</code>.
        </p>
      )}
    </Pane>
  );
});

function Progress({ status }: { status: Status }) {
  const share = status.total > 0 ? Math.min(1, status.step / status.total) : 0;
  const left = status.eta === null ? "" : `about ${seconds(status.eta)} left`;
  return (
    <div className="pcb-progress">
      <div
        role="progressbar"
        aria-label="Training progress"
        aria-valuemin={0}
        aria-valuemax={status.total}
        aria-valuenow={status.step}
      >
        <i style={{ width: `${(100 * share).toFixed(2)}%` }} />
      </div>
      <span>
        {status.step.toLocaleString("en")} / {status.total.toLocaleString("en")} steps · {seconds(status.elapsed)}
        {left && ` · ${left}`}
      </span>
    </div>
  );
}

const Scores = memo(function Scores({ store }: { store: Store }) {
  useSeq(store);
  const { history } = store.getState();
  const parts = PARTS.map(([name]) => history.latest(name) ?? 0);
  const stepTime = parts.reduce((sum, part) => sum + part, 0);
  const speed = history.latest("samples_per_s");
  const peak = history.latest("memory_peak");
  const cards: [string, string, string][] = [
    ["train", score(history.latest("train_ll")), "nats / sample"],
    ["validation", score(history.latest("valid_ll")), "nats / sample"],
    ["train", score(history.latest("train_bpd"), 4), "bits / dimension"],
    ["validation", score(history.latest("valid_bpd"), 4), "bits / dimension"],
    ["speed", speed === null ? "–" : count(speed), "samples / s"],
    ["step", stepTime ? seconds(stepTime) : "–", "all parts"],
    ["memory peak", peak === null ? "–" : bytes(peak), "all purposes"],
  ];
  return (
    <dl className="pcb-cards">
      {cards.map(([name, value, unit]) => (
        <div key={name + unit}>
          <dt>{name}</dt>
          <dd>
            {value}
            <span>{unit}</span>
          </dd>
        </div>
      ))}
    </dl>
  );
});
