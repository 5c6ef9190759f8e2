import { memo } from "react";
import { score } from "../format";
import type { Store } from "../store";
import { useSeq } from "./useSeq";

const ROWS = 8;

/** The charts' twin: the newest points as a table. */
export const Numbers = memo(function Numbers({ store }: { store: Store }) {
  useSeq(store);
  const { history } = store.getState();
  const x = history.x();
  const columns = ["train_ll", "valid_ll", "train_bpd", "samples_per_s"].filter((name) => history.has(name));
  const series = columns.map((name) => history.series(name, "mean"));
  const from = Math.max(0, x.length - ROWS);
  const rows = Array.from({ length: x.length - from }, (_, i) => x.length - 1 - i);
  return (
    <section className="pcb-numbers" aria-label="Newest points">
      <h3>Newest points</h3>
      <table className="pcb-table">
        <thead>
          <tr>
            <th scope="col" className="pcb-number">step</th>
            {columns.map((name) => (
              <th key={name} scope="col" className="pcb-number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row}>
              <td className="pcb-number">{x[row].toLocaleString("en")}</td>
              {series.map((values, c) => (
                <td key={columns[c]} className="pcb-number">
                  {Number.isNaN(values[row]) ? "" : score(values[row], Math.abs(values[row]) >= 1000 ? 0 : 4)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
});
