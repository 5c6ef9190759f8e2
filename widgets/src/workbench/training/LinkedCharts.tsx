// The charts, linked: one range of steps for all of them, by pointer or by keys.

import { memo, useState, type KeyboardEvent } from "react";
import { useStore } from "zustand";
import { bytes, count, percent, seconds } from "../format";
import type { Store } from "../store";
import type { Palette } from "../theme";
import { Chart } from "./Chart";
import { machineLines, memoryLines, SCORES, scoreLines, sight, speedLines, steps, timeLines, withOthers, type Unit } from "./charts";
import { Others } from "./Others";
import { unlike, type TrainingPart } from "./part";
import { turned, type Range } from "./zoom";
import { useSeq } from "./useSeq";

const POWERS_OF_TWO = Array.from({ length: 50 }, (_, i) => 2 ** i);

interface Props {
  store: Store;
  palette: Palette;
}

/** Decimals that tell neighbouring marks of an axis apart, and at least `usual`. */
function digits(apart: number | undefined, usual: number): number {
  return apart ? Math.min(8, Math.max(usual, Math.ceil(-Math.log10(apart)))) : usual;
}

/** Remembered: the state of the run changes as often as its points do, and would draw everything twice. */
export const LinkedCharts = memo(function LinkedCharts({ store, palette }: Props) {
  useSeq(store);
  const device = useStore(store, (s) => s.status!.machine.device);
  const source = useStore(store, (s) => s.status!.machine.source);
  const reason = useStore(store, (s) => s.status!.machine.reason);
  const others = useStore((store.parts.training as TrainingPart).store, (s) => s.others);
  const { history } = store.getState();
  const [unit, setUnit] = useState<Unit>("nats");
  const [zoom, setZoom] = useState<Range | null>(null);
  const seen = sight(history, zoom);
  const use = machineLines(seen);
  const ends = [history, ...others.map((other) => other.history)].filter((one) => one.length > 0).map((one) => one.x());
  const whole = { min: Math.min(...ends.map((x) => x[0])), max: Math.max(...ends.map((x) => x[x.length - 1])) };
  const x = steps(seen);
  const shared = { x, palette, range: zoom ?? whole, onZoom: setZoom };
  const like = others.map((other) => (unlike(other, history) ? null : other));
  const [train, valid] = SCORES[unit];
  const scores = withOthers({ x, lines: scoreLines(seen, unit) }, like, zoom, [[train, "mean"], [valid, "last", "alone"]]);
  const speeds = withOthers({ x, lines: speedLines(seen) }, others, zoom, [["samples_per_s", "mean"]]);
  const where = device ? `on ${device}, ` : "";
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const next = turned(event.key, zoom, whole);
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    setZoom(next);
  };
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
        <span className="pcb-muted" role="status">
          {zoom === null
            ? "Drag over a chart to zoom all; with keys: + − ← →."
            : `Steps ${Math.ceil(zoom.min).toLocaleString("en")} to ${Math.floor(zoom.max).toLocaleString("en")}; double click or 0 for the whole run.`}
        </span>
      </div>
      <Others others={others} own={history} />
      <div
        className="pcb-charts"
        role="group"
        tabIndex={0}
        aria-label="Charts: zoom by + and -, arrows, 0"
        data-run={history.run}
        data-gaps={history.gaps}
        onKeyDown={onKeyDown}
      >
        <Chart
          {...shared}
          title="Log-likelihood"
          unit={unit === "nats" ? "nats per sample, higher is better" : "bits per dimension, lower is better"}
          {...scores}
          format={(value, apart) => value.toFixed(digits(apart, unit === "nats" ? 1 : 3))}
        />
        <Chart {...shared} title="Throughput" unit="samples per second" {...speeds} format={count} fromZero />
        <Chart {...shared} title="Memory" unit={`${where}by purpose, stacked`} lines={memoryLines(seen)} format={bytes} increments={POWERS_OF_TWO} fromZero />
        <Chart {...shared} title="Step time" unit="stacked" lines={timeLines(seen)} format={seconds} fromZero />
        <Chart
          {...shared}
          key={use.length > 0 ? "drawn" : "in words"}
          title="Machine use"
          unit={`${where}share of what it can do`}
          source={{ word: source === "none" ? "not known" : source, reason }}
          lines={use}
          format={percent}
          fromZero
        />
      </div>
    </>
  );
});
