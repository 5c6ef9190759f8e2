// Numbers as people read them.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];

function significant(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function bytes(value: number): string {
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${significant(value)} ${BINARY[unit]}`;
}

const DECIMAL = ["", "k", "M", "G", "T"];

export function count(value: number): string {
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < DECIMAL.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${significant(value)}${unit ? " " : ""}${DECIMAL[unit]}`;
}

export function percent(share: number): string {
  const value = 100 * share;
  return `${value > 0 && value < 0.95 ? value.toFixed(1) : value.toFixed(0)} %`;
}

export function seconds(value: number): string {
  if (value === 0) return "0 s";
  if (value < 0.001) return `${(1e6 * value).toFixed(0)} µs`;
  if (value < 1) return `${significant(1000 * value)} ms`;
  if (value < 60) return `${significant(value)} s`;
  const whole = Math.round(value);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return h > 0 ? `${h} h ${String(m).padStart(2, "0")} min` : `${m} min ${String(s).padStart(2, "0")} s`;
}

/** Hours and minutes, and the day where it is not today; `when` in seconds since 1970. */
export function moment(when: number, now = new Date()): string {
  const date = new Date(1000 * when);
  const time = `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
  if (date.toDateString() === now.toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: date.getFullYear() === now.getFullYear() ? undefined : "numeric" })}, ${time}`;
}

export function score(value: number | null, digits = 3): string {
  return value === null ? "–" : value.toFixed(digits);
}

export function plural(value: number, noun: string): string {
  return `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`;
}

/** Ids, as elements tell tests and scripts of them. */
export function sorted(ids: Iterable<number>): string {
  return [...ids].sort((a, b) => a - b).join(" ");
}
