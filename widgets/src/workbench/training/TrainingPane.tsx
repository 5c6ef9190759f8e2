// The training dashboard: state and buttons, the scores, four linked charts, and what happened when.

import { useState } from "react";
import { useStore } from "zustand";
import { bytes, count, score, seconds } from "../format";
import { Pane } from "../Pane";
import type { Status } from "../protocol";
import type { Store } from "../store";
import type { Palette } from "../theme";
import { Chart, type Range } from "./Chart";
import { memoryLines, PARTS, scoreLines, speedLines, steps, timeLines, type Unit } from "./charts";
import { Controls } from "./Controls";
import { EventLog } from "./EventLog";
import { Numbers } from "./Numbers";
import { Snapshot } from "./Snapshot";

const POWERS_OF_TWO = Array.from({ length: 50 }, (_, i) => 2 ** i);

interface Props {
  store: Store;
  palette: Palette;
}

export function TrainingPane({ store, palette }: Props) {
  const status = useStore(store, (s) => s.status);
  const seq = useStore(store, (s) => s.seq);
  const summary = status ? `step ${status.step.toLocaleString("en")}, epoch ${status.epoch}` : "no run yet";
  return (
    <Pane name="training" title="Training" summary={summary} tools={status && <Controls store={store} status={status} />}>
      {status ? (
        <>
          <Progress status={status} />
          {status.snapshot && <Snapshot store={store} step={status.step} last={status.snapshot} />}
          <Scores store={store} />
          {seq > 0 ? (
            <Charts store={store} palette={palette} />
          ) : (
            <p className="pcb-hint">Waiting for the first step.</p>
          )}
          {status.why && (
            <p className="pcb-slow">
              <b>Why slow</b> {status.why}
            </p>
          )}
          <div className="pcb-below">
            <EventLog store={store} />
            <Numbers store={store} />
          </div>
          <p className="pcb-cores">{status.tensorCores}</p>
        </>
      ) : (
        <p className="pcb-empty">
          Nothing trains yet. Start <code>run = fit(…, background=True)</code> and set <code>workbench.run = run</code>.
        </p>
      )}
    </Pane>
  );
}

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

function Scores({ store }: { store: Store }) {
  useStore(store, (s) => s.seq);
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
}

function Charts({ store, palette }: Props) {
  useStore(store, (s) => s.seq);
  const { history } = store.getState();
  const [unit, setUnit] = useState<Unit>("nats");
  const [zoom, setZoom] = useState<Range | null>(null);
  const shared = { x: steps(history), palette, zoom, onZoom: setZoom };
  return (
    <>
      <div className="pcb-chart-tools">
        <button type="button" aria-pressed={unit === "nats"} onClick={() => setUnit("nats")}>
          nats / sample
        </button>
        <button type="button" aria-pressed={unit === "bits"} onClick={() => setUnit("bits")}>
          bits / dimension
        </button>
        <button type="button" disabled={zoom === null} onClick={() => setZoom(null)}>
          Whole run
        </button>
        <span className="pcb-muted">Drag over a chart to zoom all four.</span>
      </div>
      <div className="pcb-charts">
        <Chart
          {...shared}
          title="Log-likelihood"
          unit={unit === "nats" ? "nats per sample, higher is better" : "bits per dimension, lower is better"}
          lines={scoreLines(history, unit)}
          format={(value) => value.toFixed(unit === "nats" ? 1 : 3)}
        />
        <Chart {...shared} title="Throughput" unit="samples per second" lines={speedLines(history)} format={count} fromZero />
        <Chart {...shared} title="Memory" unit="by purpose, stacked" lines={memoryLines(history)} format={bytes} increments={POWERS_OF_TWO} fromZero />
        <Chart {...shared} title="Step time" unit="stacked" lines={timeLines(history)} format={seconds} fromZero />
      </div>
    </>
  );
}
