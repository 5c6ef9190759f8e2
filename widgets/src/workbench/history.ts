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

  /** One value for each stretch between two of the `bounds`, which begin at 0; what follows them moves up. */
  join(bounds: number[], reduce: Reducer): void {
    const stretches = bounds.length - 1;
    for (let i = 0; i < stretches; i++) this.data[i] = reduce(this.data, bounds[i], bounds[i + 1]);
    this.data.copyWithin(stretches, bounds[stretches], this.length);
    this.length -= bounds[stretches] - stretches;
  }
}

/** Points held at most. A run that reports 250 a second fills them in a minute. */
const CAPACITY = 16_384;

export class History {
  run = 0;
  /** Sequence number of the last point held; 0 before the first. */
  seq = 0;
  /** How often points were missing, and had to be asked for. */
  gaps = 0;
  private steps = new Column();
  /** Measurements that each point stands for. */
  private counts = new Column();
  private metrics = new Map<string, Column[]>();

  constructor(private capacity = CAPACITY) {}

  get length(): number {
    return this.steps.length;
  }

  /** Appends; "gap" when points are missing between what is held and what came, and nothing was taken. */
  append(points: Points): "appended" | "gap" | "known" {
    if (points.reset || points.run !== this.run) this.clear(points.run);
    let from = 0;
    while (from < points.count && points.head[from * HEAD + 1] <= this.seq) from++;
    if (from === points.count) return "known";
    if (points.head[from * HEAD] !== this.seq + 1) {
      this.gaps++;
      return "gap";
    }
    for (let i = from; i < points.count; i++) this.appendOne(points, i);
    return "appended";
  }

  private clear(run: number): void {
    this.run = run;
    this.seq = 0;
    this.steps = new Column();
    this.counts = new Column();
    this.metrics.clear();
  }

  /** Joins all but the newest quarter into stretches of about equal length, as Python does: no spike is lost. */
  private compact(): void {
    const bounds = this.stretches(this.length - (this.capacity >> 2));
    const counts = this.counts.values();
    // Measurements in which a metric was absent are counted, too: a mean of means that is a little off, over old steps.
    const weighted: Reducer = (values, from, to) => {
      let [sum, weight] = [0, 0];
      for (let i = from; i < to; i++)
        if (!Number.isNaN(values[i])) {
          sum += counts[i] * values[i];
          weight += counts[i];
        }
      return sum / weight;
    };
    for (const columns of this.metrics.values()) {
      columns.forEach((column, s) => {
        column.fill(NaN, this.length);
        column.join(bounds, STATISTICS[s] === "mean" ? weighted : REDUCERS[STATISTICS[s]]);
      });
    }
    this.counts.join(bounds, (values, from, to) => values.subarray(from, to).reduce((a, b) => a + b));
    this.steps.join(bounds, reduceLast);
  }

  /** Where to cut the first `older` points. Two neighbours exceed the width: at most half the capacity is left of them. */
  private stretches(older: number): number[] {
    const counts = this.counts.values();
    const width = Math.ceil((4 * counts.subarray(0, older).reduce((a, b) => a + b)) / this.capacity);
    const bounds = [0];
    let held = 0;
    for (let i = 0; i < older; i++) {
      if (i > 0 && held + counts[i] > width) {
        bounds.push(i);
        held = 0;
      }
      held += counts[i];
    }
    return [...bounds, older];
  }

  private appendOne(points: Points, i: number): void {
    if (this.length >= this.capacity) this.compact();
    const at = this.steps.length;
    this.counts.push(points.head[i * HEAD + 1] - points.head[i * HEAD] + 1);
    this.seq = points.head[i * HEAD + 1];
    this.steps.push(points.head[i * HEAD + 2]);
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

/** The points between two steps, and those around them, so that lines run on to the edge: from the first to before the second. */
export function between(x: Float64Array, least: number, greatest: number): [number, number] {
  return [Math.max(0, firstFrom(x, least) - 1), Math.min(x.length, firstFrom(x, greatest) + 1)];
}

/** The first place whose step is not below `least`. */
function firstFrom(x: Float64Array, least: number): number {
  let [low, high] = [0, x.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

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
