// The seam between the workbench and a view of its own: Python's half is a class in widgets/pcbench_widgets/part.py with
// the same name. A part owns its state and its messages; the workbench carries both ways and asks it to catch up.

export type Body = Record<string, unknown>;
export type Post = (body: Body, buffers?: ArrayBuffer[]) => void;

export interface Part {
  readonly name: string;
  /** What this view has of Python's; Python sends the rest. */
  have(): Body;
  /** One message of Python's half. Throws on what cannot be read; the workbench shows the reason. */
  receive(body: Body, buffers: DataView[]): void;
  /** The kernel was restarted or shut down, and whatever is asked stays unanswered; or it is there after all. */
  ended?(ended: boolean): void;
}

/** What a question is answered with once the kernel is gone. */
export const ENDED = "The kernel is gone. Run the cell again, and ask there.";

/** Parts of a workbench by name, made once a model, so that a model's views share them. */
export type Parts = Readonly<Record<string, Part>>;
export type MakePart = (post: Post) => Part;
