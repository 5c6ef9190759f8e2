import { memo, useEffect, useRef } from "react";
import { useStore } from "zustand";
import { seconds } from "../format";
import type { LogEntry } from "../protocol";
import type { Store } from "../store";

/** What happened when; keeps to the end unless somebody scrolled up to read. */
export const EventLog = memo(function EventLog({ store }: { store: Store }) {
  const log = useStore(store, (s) => s.log);
  const list = useRef<HTMLOListElement>(null);
  const stick = useRef(true);
  useEffect(() => {
    if (list.current && stick.current) list.current.scrollTop = list.current.scrollHeight;
  }, [log]);
  return (
    <section className="pcb-log" aria-label="Events">
      <h3>Events</h3>
      <ol
        ref={list}
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          stick.current = scrollHeight - scrollTop - clientHeight < 8;
        }}
      >
        {log.map((entry) => (
          <Event key={entry.seq} entry={entry} />
        ))}
        {log.length === 0 && <li className="pcb-muted">Nothing yet.</li>}
      </ol>
    </section>
  );
});

/** Remembered: hundreds of them, of which few are new. */
const Event = memo(function Event({ entry }: { entry: LogEntry }) {
  return (
    <li className={`pcb-event-${entry.kind}`}>
      <time>{seconds(entry.time)}</time> <em>{entry.kind}</em> {entry.text}
      <span className="pcb-muted"> step {entry.step.toLocaleString("en")}</span>
    </li>
  );
});
