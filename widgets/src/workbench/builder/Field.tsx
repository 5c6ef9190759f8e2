import { useEffect, useState, type KeyboardEvent, type ReactNode } from "react";

interface Props {
  label: string;
  value: string;
  type?: "text" | "number";
  min?: number;
  list?: string;
  placeholder?: string;
  disabled?: boolean;
  /** False where it was refused: the old value comes back. */
  onCommit: (value: string) => boolean | void;
  id?: string;
  children?: ReactNode;
}

/** A text that counts once it is left, or Enter is pressed; Escape brings the old one back. */
export function Field({ label, value, onCommit, children, ...input }: Props) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const commit = () => {
    if (text !== value && onCommit(text) === false) setText(value);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.key === "Enter") commit();
    else if (event.key === "Escape") setText(value);
  };
  return (
    <label className="pcb-field">
      <span>{label}</span>
      <input {...input} value={text} onChange={(event) => setText(event.currentTarget.value)} onBlur={commit} onKeyDown={onKeyDown} />
      {children}
    </label>
  );
}
