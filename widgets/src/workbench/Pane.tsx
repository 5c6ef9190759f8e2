import type { ReactNode } from "react";

interface Props {
  name: string;
  title: string;
  summary: ReactNode;
  tools?: ReactNode;
  children: ReactNode;
}

/** The frame that all panes share. */
export function Pane({ name, title, summary, tools, children }: Props) {
  return (
    <section className={`pcb-pane pcb-pane-${name}`} aria-label={title} data-pane={name}>
      <header>
        <h2>{title}</h2>
        <span className="pcb-summary" title={typeof summary === "string" ? summary : undefined}>{summary}</span>
        <span className="pcb-tools">{tools}</span>
      </header>
      <div className="pcb-body">{children}</div>
    </section>
  );
}
