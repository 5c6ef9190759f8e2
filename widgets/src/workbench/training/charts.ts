// From the history to the lines of the four charts.

import { carry, decimate, type History } from "../history";
import type { Statistic } from "../protocol";
import type { Line } from "./Chart";

const MOST = 1200;

export type Unit = "nats" | "bits";

export function steps(history: History): (number | null)[] {
  return decimate(history.x(), "last", MOST);
}

function values(history: History, name: string, statistic: Statistic, scale = 1): (number | null)[] {
  const thinned = decimate(history.series(name, statistic), statistic, MOST);
  return scale === 1 ? thinned : thinned.map((value) => (value === null ? null : scale * value));
}

/** Training as a line in a band from the least to the greatest, so that no spike hides; validation as marked points. */
export function scoreLines(history: History, unit: Unit): Line[] {
  const [train, valid] = unit === "nats" ? ["train_ll", "valid_ll"] : ["train_bpd", "valid_bpd"];
  return [
    { label: "highest", color: 0, values: values(history, train, "max"), hidden: true, fillTo: 1 },
    { label: "lowest", color: 0, values: values(history, train, "min"), hidden: true },
    { label: "train", color: 0, values: values(history, train, "mean") },
    { label: "validation", color: 1, values: values(history, valid, "last"), points: history.x().length < 400, dashed: true },
  ];
}

export function speedLines(history: History): Line[] {
  return [
    { label: "highest", color: 2, values: values(history, "samples_per_s", "max"), hidden: true, fillTo: 1 },
    { label: "lowest", color: 2, values: values(history, "samples_per_s", "min"), hidden: true },
    { label: "samples/s", color: 2, values: values(history, "samples_per_s", "mean") },
  ];
}

/** Each area stands on the ones before it; the number beside its name is its own, not the height of its edge. */
function stack(history: History, parts: [name: string, label: string][], scale: number, statistic: Statistic): Line[] {
  const present = parts.filter(([name]) => history.has(name));
  const sum = new Float64Array(history.length);
  const lines: Line[] = [];
  present.forEach(([name, label], color) => {
    const part = carry(history.series(name, statistic));
    for (let i = 0; i < sum.length; i++) sum[i] += scale * part[i];
    lines.push({ label, color, values: decimate(sum, "mean", MOST), latest: history.latest(name) });
  });
  // Fill from each edge down to the one beneath; uPlot needs a line for the ground too.
  const ground: Line = { label: "zero", color: 0, values: lines[0]?.values.map(() => 0) ?? [], hidden: true };
  return [ground, ...lines.map((line, i) => ({ ...line, fillTo: i }))];
}

export function memoryLines(history: History): Line[] {
  const lines = stack(
    history,
    [
      ["memory_parameters", "parameters"],
      ["memory_values", "values"],
      ["memory_flows", "flows"],
      ["memory_other", "other"],
    ],
    1,
    "last",
  );
  if (!history.has("memory_peak")) return lines;
  const peak = decimate(carry(history.series("memory_peak", "max")), "max", MOST);
  return [...lines, { label: "peak", color: 4, values: peak, dashed: true }];
}

/** All that a step is made of; « other » is Python around the engine. */
export const PARTS: [name: string, label: string][] = [
  ["forward_s", "forward"],
  ["backward_s", "backward"],
  ["update_s", "update"],
  ["data_s", "data"],
  ["other_s", "other"],
];

export function timeLines(history: History): Line[] {
  return stack(history, PARTS, 1, "mean");
}
