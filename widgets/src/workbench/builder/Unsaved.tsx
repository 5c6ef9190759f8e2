// Drawings that nobody has saved: what an earlier builder left behind, and what becomes of this one without its kernel.

import { useState } from "react";
import { moment, plural } from "../format";
import type { BuilderPart, Offer } from "./part";

export function Offers({ part }: { part: BuilderPart }) {
  const { offers, ended } = part.state;
  if (!offers.length || ended) return null;
  return (
    <div className="pcb-offers" role="region" aria-label="Unsaved drawings">
      {offers.map((offer) => <OneOffer key={offer.id} part={part} offer={offer} />)}
    </div>
  );
}

function OneOffer({ part, offer }: { part: BuilderPart; offer: Offer }) {
  const [error, setError] = useState("");
  const [asked, setAsked] = useState(false);
  const ask = async (kind: "restore" | "discard") => {
    const answer = await part.ask(kind, { drawing: offer.id });
    if (!answer.ok) setError(answer.text ?? "");
    else if (kind === "restore") part.reveal(null);
  };
  const name = `the unsaved drawing of ${moment(offer.when)}`;
  return (
    <p>
      {asked ? (
        <>
          <span>Throw {name} away for good?</span>
          <button type="button" onClick={() => void ask("discard")}>Throw away</button>
          <button type="button" onClick={() => setAsked(false)}>Keep</button>
        </>
      ) : (
        <>
          <button type="button" className="pcb-primary" onClick={() => void ask("restore")}>Restore {name} ({plural(offer.blocks, "block")})</button>
          <button type="button" aria-label={`Discard ${name}`} onClick={() => setAsked(true)}>Discard</button>
        </>
      )}
      {error && <span className="pcb-error" role="alert">{error}</span>}
    </p>
  );
}

/** Where the drawing is not safe, that is said before it is too late; and afterwards, what to do. */
export function Kept({ part }: { part: BuilderPart }) {
  const { kept, ended, pending } = part.state;
  const text = ended ? afterwards(part) : kept.state === "failed" ? `This drawing is not kept in case the kernel dies (${kept.text}): save it to a file.` : "";
  if (!text) return null;
  const lost = ended && pending ? ` ${plural(pending, "edit")} had not reached the kernel and will not be in it.` : "";
  return <p className={kept.state === "failed" ? "pcb-kept pcb-error" : "pcb-kept"} role="status">{text}{lost}</p>;
}

function afterwards(part: BuilderPart): string {
  const { kept } = part.state;
  if (kept.state === "kept") return "This drawing is kept: run the cell again, and the builder there offers to restore it.";
  if (kept.state === "failed") return `This drawing could not be kept (${kept.text}): it is in this picture only.`;
  return part.draft.blocks.size ? "This drawing was saved, or made by code: run the cell again to go on." : "";
}
