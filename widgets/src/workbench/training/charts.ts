// From the history to the lines of the charts: of the steps in sight, in full where they are few.

import uPlot from "uplot";
import { between, carry, decimate, type History } from "../history";
import type { Statistic } from "../protocol";
import { dataOf, type Line } from "./Chart";
import type { Other } from "./part";
import type { Range } from "./zoom";

/** Stretches of a curve: about as many as a chart has pixels, since drawing them is what takes a page's time. */
const MOST = 600;
const DASH = [5, 4];

export type Unit = "nats" | "bits";
export const SCORES: Record<Unit, [string, string]> = { nats: ["train_ll", "valid_ll"], bits: ["train_bpd", "valid_bpd"] };

/** A history, and which of its points are in sight. */
export interface Sight {
  history: History;
  from: number;
  to: number;
}

export function sight(history: History, zoom: Range | null): Sight {
  const [from, to] = zoom ? between(history.x(), zoom.min, zoom.max) : [0, history.length];
  return { history, from, to };
}

function thin({ from, to }: Sight, values: Float64Array, statistic: Statistic): (number | null)[] {
  return decimate(values.subarray(from, to), statistic, MOST);
}

export function steps(seen: Sight): (number | null)[] {
  return thin(seen, seen.history.x(), "last");
}

function values(seen: Sight, name: string, statistic: Statistic): (number | null)[] {
  return thin(seen, seen.history.series(name, statistic), statistic);
}

/** Training as a line in a band from the least to the greatest, so that no spike hides; validation as marked points. */
export function scoreLines(seen: Sight, unit: Unit): Line[] {
  const [train, valid] = SCORES[unit];
  return [
    { label: "highest", color: 0, values: values(seen, train, "max"), outline: true, fillTo: 1 },
    { label: "lowest", color: 0, values: values(seen, train, "min"), outline: true },
    { label: "train", color: 0, values: values(seen, train, "mean"), latest: seen.history.latest(train) },
    { label: "validation", color: 1, values: values(seen, valid, "last"), points: seen.to - seen.from < 400, dash: DASH, latest: seen.history.latest(valid) },
  ];
}

export function speedLines(seen: Sight): Line[] {
  return [
    { label: "highest", color: 0, values: values(seen, "samples_per_s", "max"), outline: true, fillTo: 1 },
    { label: "lowest", color: 0, values: values(seen, "samples_per_s", "min"), outline: true },
    { label: "samples/s", color: 0, values: values(seen, "samples_per_s", "mean"), latest: seen.history.latest("samples_per_s") },
  ];
}

/** How the runs beside this one look: told apart without colours, too. */
export const LOOKS: { color: number; dash: number[] }[] = [
  { color: 2, dash: [2, 3] },
  { color: 3, dash: [9, 3, 2, 3] },
  { color: 4, dash: [14, 4] },
  { color: 1, dash: [6, 2, 1, 2, 1, 2] },
];

/** What a chart draws: the steps, and the lines over them. */
export interface Drawn {
  x: (number | null)[];
  lines: Line[];
}

/** The same curve of other runs over this run's lines: each has steps of its own, so all are put on the union of them. */
export function withOthers(own: Drawn, others: (Other | null)[], zoom: Range | null, names: [string, Statistic, Line["points"]?][]): Drawn {
  const tables = [dataOf(own)];
  const lines = [...own.lines];
  others.forEach((other, i) => {
    if (other === null) return;
    const seen = sight(other.history, zoom);
    const drawn = names
      .filter(([name]) => other.history.has(name))
      .map(([name, statistic, points]): Line => {
        const label = points ? `${other.name}, validation` : other.name;
        return { ...LOOKS[i], dash: points ? undefined : LOOKS[i].dash, points, label, values: values(seen, name, statistic), latest: seen.history.latest(name) };
      });
    tables.push(dataOf({ x: steps(seen), lines: drawn }));
    lines.push(...drawn);
  });
  if (tables.length === 1) return own;
  const [x, ...joined] = uPlot.join(tables) as (number | null)[][];
  return { x, lines: lines.map((line, i) => ({ ...line, values: joined[i] })) };
}

/** Each area stands on the ones before it; the number beside its name is its own, not the height of its edge. */
function stack(seen: Sight, parts: [name: string, label: string][], statistic: Statistic): Line[] {
  const { history } = seen;
  const present = parts.filter(([name]) => history.has(name));
  const sum = new Float64Array(history.length);
  const lines: Line[] = [];
  present.forEach(([name, label], color) => {
    const part = carry(history.series(name, statistic));
    for (let i = 0; i < sum.length; i++) sum[i] += part[i];
    lines.push({ label, color, values: thin(seen, sum, "mean"), latest: history.latest(name) });
  });
  // Fill from each edge down to the one beneath; uPlot needs a line for the ground too.
  const ground: Line = { label: "zero", color: 0, values: lines[0]?.values.map(() => 0) ?? [], hidden: true };
  return [ground, ...lines.map((line, i) => ({ ...line, fillTo: i }))];
}

export function memoryLines(seen: Sight): Line[] {
  const lines = stack(
    seen,
    [
      ["memory_parameters", "parameters"],
      ["memory_values", "values"],
      ["memory_flows", "flows"],
      ["memory_other", "other"],
    ],
    "last",
  );
  if (!seen.history.has("memory_peak")) return lines;
  const peak = thin(seen, carry(seen.history.series("memory_peak", "max")), "max");
  return [...lines, { label: "peak", color: 4, values: peak, dash: DASH }];
}

/** All that a step is made of; « other » is Python around the engine. */
export const PARTS: [name: string, label: string][] = [
  ["forward_s", "forward"],
  ["backward_s", "backward"],
  ["update_s", "update"],
  ["data_s", "data"],
  ["other_s", "other"],
];

export function timeLines(seen: Sight): Line[] {
  return stack(seen, PARTS, "mean");
}

/** What a GPU's counters measured in full lines, estimates in dashed ones. A run may have both, when counting ends. */
const MACHINE: [name: string, label: string, color: number, estimated: boolean][] = [
  ["gpu_tensor_cores", "Tensor Cores", 0, false],
  ["gpu_multiprocessors", "SM", 1, false],
  ["gpu_memory", "DRAM", 2, false],
  ["roofline_compute", "arithmetic (estimated)", 3, true],
  ["roofline_memory", "memory bandwidth (estimated)", 4, true],
];

export function machineLines(seen: Sight): Line[] {
  return MACHINE.filter(([name]) => seen.history.has(name)).map(([name, label, color, estimated]) => {
    return { label, color, dash: estimated ? DASH : undefined, values: values(seen, name, "mean"), latest: seen.history.latest(name) };
  });
}
