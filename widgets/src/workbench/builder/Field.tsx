import { useState, type KeyboardEvent, type ReactNode } from "react";

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

/** What was typed, and once it was handed on, the value that it is to replace. */
interface Typed {
  text: string;
  over?: string;
}

/**
 * A text that counts once it is left, or Enter is pressed; Escape brings the old one back. What is typed is kept apart from
 * the value: an answer to the text before it, or somebody else's edit, does not take it away.
 */
export function Field({ label, value, onCommit, children, ...input }: Props) {
  const [typed, setTyped] = useState<Typed | null>(null);
  const answered = typed?.over !== undefined && typed.over !== value;
  if (answered) setTyped(null); // here, for effects wait for a frame, and more may be typed before that
  const commit = () => {
    if (typed) setTyped(typed.text !== value && onCommit(typed.text) !== false ? { ...typed, over: value } : null);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.key === "Enter") commit();
    else if (event.key === "Escape") setTyped(null);
  };
  return (
    <label className="pcb-field">
      <span>{label}</span>
      <input
        {...input}
        value={typed && !answered ? typed.text : value}
        onChange={(event) => setTyped({ text: event.currentTarget.value })}
        onBlur={() => typed?.over === undefined && commit()} // what Enter handed on is not sent twice
        onKeyDown={onKeyDown}
      />
      {children}
    </label>
  );
}
