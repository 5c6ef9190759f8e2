import { createContext, useContext, type ReactNode } from "react";

/** Opens the workbench's list of commands. */
export const OpenCommands = createContext<(() => void) | null>(null);

interface Props {
  name: string;
  title: string;
  summary: ReactNode;
  tools?: ReactNode;
  /** It has a list of commands of its own and a button for it, or needs none. */
  listed?: boolean;
  children: ReactNode;
}

/** The frame that all panes share. */
export function Pane({ name, title, summary, tools, listed = false, children }: Props) {
  const open = useContext(OpenCommands);
  return (
    <section className={`pcb-pane pcb-pane-${name}`} aria-label={title} data-pane={name}>
      <header>
        <h2>{title}</h2>
        <span className="pcb-summary" title={typeof summary === "string" ? summary : undefined}>{summary}</span>
        <span className="pcb-tools">
          {tools}
          {!listed && open && <button type="button" onClick={open} aria-label="Commands and keys" title="Commands and keys (?)">?</button>}
        </span>
      </header>
      <div className="pcb-body">{children}</div>
    </section>
  );
}
