// The curve of a training run: columns that only grow, and what a chart draws of them.

import { HEAD, STATISTICS, type Points, type Statistic } from "./protocol";

const WIDTH = STATISTICS.length;
const OFFSET: Record<Statistic, number> = { min: 0, max: 1, mean: 2, last: 3 };

/** A Float64Array that grows by doubling: appending point by point must not copy the whole run every time. */
class Column {
  private data = new Float64Array(256);
  length = 0;

  push(value: number): void {
    if (this.length === this.data.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.data);
      this.data = larger;
    }
    this.data[this.length++] = value;
  }

  fill(value: number, upTo: number): void {
    while (this.length < upTo) this.push(value);
  }

  values(): Float64Array {
    return this.data.subarray(0, this.length);
  }
}

export class History {
  run = 0;
  /** Sequence number of the last point held; 0 before the first. */
  seq = 0;
  private steps = new Column();
  private times = new Column();
  private metrics = new Map<string, Column[]>();

  get length(): number {
    return this.steps.length;
  }

  /** Appends; "gap" when points are missing between what is held and what came, and nothing was taken. */
  append(points: Points): "appended" | "gap" | "known" {
    if (points.reset || points.run !== this.run) this.clear(points.run);
    let from = 0;
    while (from < points.count && points.head[from * HEAD + 1] <= this.seq) from++;
    if (from === points.count) return "known";
    if (points.head[from * HEAD] !== this.seq + 1) return "gap";
    for (let i = from; i < points.count; i++) this.appendOne(points, i);
    return "appended";
  }

  private clear(run: number): void {
    this.run = run;
    this.seq = 0;
    this.steps = new Column();
    this.times = new Column();
    this.metrics.clear();
  }

  private appendOne(points: Points, i: number): void {
    const at = this.steps.length;
    this.seq = points.head[i * HEAD + 1];
    this.steps.push(points.head[i * HEAD + 2]);
    this.times.push(points.head[i * HEAD + 4]);
    points.columns.forEach((name, c) => {
      const base = (i * points.columns.length + c) * WIDTH;
      const columns = this.column(name);
      for (let s = 0; s < WIDTH; s++) {
        columns[s].fill(NaN, at); // a metric that starts later has no past
        columns[s].push(points.body[base + s]);
      }
    });
  }

  private column(name: string): Column[] {
    let columns = this.metrics.get(name);
    if (columns === undefined) {
      columns = STATISTICS.map(() => new Column());
      this.metrics.set(name, columns);
    }
    return columns;
  }

  has(name: string): boolean {
    return this.metrics.has(name);
  }

  x(): Float64Array {
    return this.steps.values();
  }

  /** One metric in full length; NaN where it was absent. */
  series(name: string, statistic: Statistic): Float64Array {
    const column = this.metrics.get(name)?.[OFFSET[statistic]];
    if (column === undefined) return new Float64Array(this.length).fill(NaN);
    column.fill(NaN, this.length);
    return column.values();
  }

  /** The newest value there is; a validation score stays on show between two validations. */
  latest(name: string): number | null {
    const values = this.series(name, "last");
    for (let i = values.length - 1; i >= 0; i--) if (!Number.isNaN(values[i])) return values[i];
    return null;
  }
}

type Reducer = (values: Float64Array, from: number, to: number) => number;

const reduceMin: Reducer = (values, from, to) => {
  let best = NaN;
  for (let i = from; i < to; i++) if (!(values[i] >= best)) best = Number.isNaN(values[i]) ? best : values[i];
  return best;
};
const reduceMax: Reducer = (values, from, to) => {
  let best = NaN;
  for (let i = from; i < to; i++) if (!(values[i] <= best)) best = Number.isNaN(values[i]) ? best : values[i];
  return best;
};
const reduceMean: Reducer = (values, from, to) => {
  let sum = 0;
  let n = 0;
  for (let i = from; i < to; i++)
    if (!Number.isNaN(values[i])) {
      sum += values[i];
      n++;
    }
  return n === 0 ? NaN : sum / n;
};
const reduceLast: Reducer = (values, from, to) => {
  for (let i = to - 1; i >= from; i--) if (!Number.isNaN(values[i])) return values[i];
  return NaN;
};

export const REDUCERS: Record<Statistic, Reducer> = {
  min: reduceMin,
  max: reduceMax,
  mean: reduceMean,
  last: reduceLast,
};

/** At most `most` values, each the given statistic of a stretch: a one-step spike survives in min and max. */
export function decimate(values: Float64Array, statistic: Statistic, most: number): (number | null)[] {
  const stride = Math.max(1, Math.ceil(values.length / most));
  const reduce = REDUCERS[statistic];
  const out: (number | null)[] = [];
  for (let from = 0; from < values.length; from += stride) {
    const value = reduce(values, from, Math.min(from + stride, values.length));
    out.push(Number.isNaN(value) ? null : value);
  }
  return out;
}

/** Repeats the last known value; memory is reported now and then, and stands until it is reported again. */
export function carry(values: Float64Array): Float64Array {
  const out = new Float64Array(values.length);
  let held = NaN;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isNaN(values[i])) held = values[i];
    out[i] = held;
  }
  return out;
}
