// Leaf families as the rules need them here: how many parameters a node has, and which domains they take.
// Python's half asks the families themselves (pcbench_widgets/builder/families.py); tests/widgets/ops.json holds both.

export type Distribution = { name: string } & Record<string, unknown>;
/** The number of values; null for the real line. */
export type Domain = number | null;

export interface Family {
  name: string;
  title: string;
  options: Record<string, number>;
}

interface Rules {
  parameters: (d: Distribution) => number;
  domain: (d: Distribution) => Domain;
}

const RULES: Record<string, Rules> = {
  categorical: { parameters: (d) => d.size as number, domain: (d) => d.size as number },
  bernoulli: { parameters: () => 1, domain: () => 2 },
  gaussian: { parameters: () => 2, domain: () => null },
  binomial: { parameters: () => 1, domain: (d) => (d.trials as number) + 1 },
};

/** Undefined for a family that this view does not know; Python then decides alone. */
export const parameters = (d: Distribution): number | undefined => RULES[d.name]?.parameters(d);
export const naturalDomain = (d: Distribution): Domain | undefined => RULES[d.name]?.domain(d);

export function domainText(domain: Domain): string {
  return domain === null ? "ℝ" : `0…${domain - 1}`;
}

export function familyText(d: Distribution): string {
  const title = d.name[0].toUpperCase() + d.name.slice(1);
  const options = Object.entries(d).filter(([key]) => key !== "name");
  return options.length ? `${title}(${options.map(([key, value]) => `${key}=${String(value)}`).join(", ")})` : title;
}

export function same(a: Distribution, b: Distribution): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => a[key] === b[key]);
}
