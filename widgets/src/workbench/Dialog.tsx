// What every pane opens over itself: a dialog, all commands with their keys, and what is on the screen as Python.

import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import type { Command } from "./commands";

/** A text of Python's, or why there is none. */
export interface Answer {
  ok: boolean;
  text?: string;
}

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  const open = useRef(true);
  useLayoutEffect(() => {
    const dialog = ref.current!;
    dialog.showModal(); // the first button has the focus now, and that is the one that closes
    dialog.querySelector<HTMLElement>("form input, form button")?.focus();
    return () => {
      open.current = false; // what is told of this closing comes later, when another dialog may be open
      dialog.close(); // and what had the focus has it again
    };
  }, []);
  return (
    <dialog
      ref={ref}
      className="pcb-dialog"
      aria-label={title}
      onClose={() => open.current && onClose()}
      onKeyDown={(event) => event.stopPropagation()}
      onPointerDown={(event) => event.target === ref.current && onClose()}
    >
      <div className="pcb-dialog-head">
        <h3>{title}</h3>
        <button type="button" onClick={onClose} aria-label="Close">×</button>
      </div>
      {children}
    </dialog>
  );
}

/** All commands with their keys. What is chosen is run once the dialog is gone, which keeps the focus to itself. */
export function CommandList({ list, onClose }: { list: Command[]; onClose: () => void }) {
  const run = (command: Command) => {
    onClose();
    setTimeout(command.run!);
  };
  return <Dialog title="Commands and keys" onClose={onClose}><Commands list={list} onRun={run} /></Dialog>;
}

function Commands({ list, onRun }: { list: Command[]; onRun: (command: Command) => void }) {
  const [query, setQuery] = useState("");
  const wanted = query.trim().toLowerCase();
  const shown = list.filter((command) => `${command.title} ${command.keys.join(" ")}`.toLowerCase().includes(wanted));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const first = shown.find((command) => command.run);
        if (first) onRun(first);
      }}
    >
      <input type="search" aria-label="Find a command" placeholder="Find a command; Enter runs the first" value={query} onChange={(event) => setQuery(event.currentTarget.value)} />
      <ul className="pcb-commands">
        {shown.map((command) => (
          <li key={command.title}>
            {command.run ? (
              <button type="button" className="pcb-link" onClick={() => onRun(command)}>{command.title}</button>
            ) : (
              <span>{command.title}</span>
            )}
            <span>{command.keys.map((key) => <kbd key={key}>{key}</kbd>)}</span>
          </li>
        ))}
      </ul>
    </form>
  );
}

/** Python to copy: `ask` gives it, `label` and the words around it say what it does. */
export function Source({ ask, label, children }: { ask: () => Promise<Answer>; label: string; children: ReactNode }) {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [copied, setCopied] = useState("");
  const copy = async (text: string) => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied("Copied.");
    } catch {
      setCopied("The browser did not allow copying: select the text and press Ctrl+C.");
    }
  };
  useEffect(() => {
    void ask().then((got) => {
      setAnswer(got);
      if (got.ok) void copy(got.text ?? "");
    });
  }, []); // once: what is on the screen behind the dialog does not change
  if (!answer) return <p className="pcb-muted">…</p>;
  if (!answer.ok) return <p className="pcb-error pcb-pre" role="alert">{answer.text}</p>;
  return (
    <>
      <p className="pcb-muted">
        {children} <span role="status">{copied}</span>
      </p>
      <textarea className="pcb-source" readOnly aria-label={label} value={answer.text} rows={18} />
      <button type="button" className="pcb-primary" onClick={() => void copy(answer.text ?? "")}>Copy</button>
    </>
  );
}
