import { useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { stands } from "./typed";

interface Props {
  /** Null while there is none; the field is empty then. */
  value: number | null;
  /** What is in the field; what is not taken from it is put right again. */
  onText: (text: string) => void;
  label?: string;
  className?: string;
  placeholder?: string;
  min?: number;
  max?: number;
  step?: number | "any";
  disabled?: boolean;
  onBlur?: () => void;
  onKeyDown?: (event: KeyboardEvent<HTMLElement>) => void;
}

/** A number that is taken while it is typed: “0.0” is not made “0” before the 5 has come. */
export function NumberInput({ value, onText, label, ...input }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const [, again] = useState(0);
  useLayoutEffect(() => {
    const { current } = field;
    if (current && !stands(current.value, current.validity.badInput, value)) current.value = String(value ?? "");
  });
  return (
    <input
      {...input}
      ref={field}
      type="number"
      aria-label={label}
      onInput={(event) => {
        onText(event.currentTarget.value);
        again((n) => n + 1); // where the text was not taken nothing else would draw this again
      }}
    />
  );
}
