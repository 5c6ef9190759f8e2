// What opens over the canvas: templates and files.

import { useEffect, useState } from "react";
import type { BuilderPart, Template } from "./part";

export type DialogName = "commands" | "templates" | "open" | "save" | "source";

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
