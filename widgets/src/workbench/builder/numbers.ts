// Probabilities as people read them, from log values in nats.

/** 0.25, 1, or e^−31.2 where a decimal would be all zeros; null is the log of zero. */
export function probability(log: number | null): string {
  if (log === null) return "0";
  if (log < -6.9) return `e^${log.toFixed(log < -99 ? 0 : 1).replace("-", "−")}`;
  const value = Math.exp(log);
  return value >= 0.9995 && value < 1.0005 ? "1" : value < 10 ? value.toFixed(3) : value.toPrecision(3);
}

/** One weight of a row set to a value, the others scaled so that the row sums to one. */
export function rebalanced(row: readonly number[], at: number, value: number): number[] {
  const wanted = Math.min(1, Math.max(0, value));
  if (row.length === 1) return [1];
  const rest = row.reduce((sum, weight, i) => (i === at ? sum : sum + weight), 0);
  const left = 1 - wanted;
  return row.map((weight, i) => (i === at ? wanted : rest > 1e-12 ? (weight / rest) * left : left / (row.length - 1)));
}
