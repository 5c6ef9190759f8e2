// What opens over the canvas: all commands with their keys, templates, files, and the circuit as Python.

import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import type { Command } from "./commands";
import type { BuilderPart, Template } from "./part";

/** A text of Python's, or why there is none. */
export interface Answer {
  ok: boolean;
  text?: string;
}

export type DialogName = "commands" | "templates" | "open" | "save" | "source";

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    ref.current?.showModal(); // the first button has the focus now, and that is the one that closes
    ref.current?.querySelector<HTMLElement>("form input, form button")?.focus();
  }, []);
  return (
    <dialog
      ref={ref}
      className="pcb-dialog"
      aria-label={title}
      onClose={onClose}
      onKeyDown={(event) => event.stopPropagation()}
      onPointerDown={(event) => event.target === ref.current && onClose()}
    >
      <header>
        <h3>{title}</h3>
        <button type="button" onClick={onClose} aria-label="Close">×</button>
      </header>
      {children}
    </dialog>
  );
}

export function Commands({ list, onRun }: { list: Command[]; onRun: (command: Command) => void }) {
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

export function Templates({ part, onClose }: { part: BuilderPart; onClose: () => void }) {
  const { templates } = part.state;
  const [chosen, setChosen] = useState<Template | undefined>(templates[0]);
  const [options, setOptions] = useState<Record<string, string | number>>(templates[0]?.options ?? {});
  const choose = (template: Template) => {
    setChosen(template);
    setOptions(template.options);
  };
  const insert = () => {
    const typed = Object.entries(options).map(([key, text]) => {
      const number = Number(text);
      return [key, key === "data" || text === "" || !Number.isFinite(number) ? text : number];
    });
    part.edit("insert_template", { name: chosen!.name, options: Object.fromEntries(typed) });
    onClose();
  };
  return (
    <form
      className="pcb-templates"
      onSubmit={(event) => {
        event.preventDefault();
        insert();
      }}
    >
      <ul>
        {templates.map((template) => (
          <li key={template.name}>
            <button type="button" aria-pressed={template === chosen} onClick={() => choose(template)} onDblClick={insert}>
              <strong>{template.name}</strong>
              <span>{template.summary}</span>
            </button>
          </li>
        ))}
      </ul>
      {Object.keys(options).map((key) => (
        <label key={key} className="pcb-field">
          <span>{key}</span>
          <input value={options[key]} onChange={(event) => setOptions({ ...options, [key]: event.currentTarget.value })} />
        </label>
      ))}
      {"data" in options && <p className="pcb-muted">Data: the name of a built-in set, or the path of a file.</p>}
      <button type="submit" className="pcb-primary" disabled={!chosen}>Insert {chosen?.name}</button>
    </form>
  );
}

export function FileDialog({ part, kind, onDone }: { part: BuilderPart; kind: "open" | "save"; onDone: (text: string) => void }) {
  const [path, setPath] = useState(kind === "save" ? "circuit.pcb" : "");
  const [files, setFiles] = useState<string[]>([]);
  const [folder, setFolder] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    void part.ask("files").then((answer) => {
      setFiles((answer.files as string[] | undefined) ?? []);
      setFolder((answer.folder as string | undefined) ?? "");
    });
  }, [part]);
  const go = async (wanted: string) => {
    setBusy(true);
    const answer = await part.ask(kind === "save" ? "save" : "load", { path: wanted });
    setBusy(false);
    if (!answer.ok) return setError(answer.text ?? "");
    if (kind === "open") part.reveal(null);
    onDone(answer.text ?? "");
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (path.trim()) void go(path.trim());
      }}
    >
      <label className="pcb-field">
        <span>File</span>
        <input value={path} placeholder="circuit.pcb" onChange={(event) => setPath(event.currentTarget.value)} />
      </label>
      <p className="pcb-muted">
        {kind === "save" ? "The circuit with its weights and places, as " : "Replaces what is here; undo brings it back. "}
        <code>pcbench.{kind === "save" ? "save" : "load"}</code> {kind === "save" ? "writes it" : "reads it too"}. Folder: {folder}
      </p>
      {kind === "open" && files.length > 0 && (
        <ul className="pcb-files">
          {files.map((file) => (
            <li key={file}>
              <button type="button" className="pcb-link" onClick={() => void go(file)}>{file}</button>
            </li>
          ))}
        </ul>
      )}
      {error && <p className="pcb-error" role="alert">{error}</p>}
      <button type="submit" className="pcb-primary" disabled={busy || !path.trim()}>{busy ? "…" : kind === "save" ? "Save" : "Open"}</button>
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
