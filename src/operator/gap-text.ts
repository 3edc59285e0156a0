import type { DeclaredGap } from "./capture-source.ts";

/** What each cause of a gap means to who looks for the missing text. */
const CAUSES: Readonly<Record<string, string>> = {
  start: "the controller was not running",
  reboot: "the site's machine restarted",
  crash: "the controller crashed",
  replug: "the adapter was unplugged or lost",
  quota: "overwritten by newer text before it was read",
  overrun: "it came faster than it could be stored",
};

/** One line, without its brackets. */
export function gapText(boot: number, { cause, length, offset }: DeclaredGap): string {
  const size = length === null ? "text of unknown length" : `${length} bytes`;
  const why = Object.hasOwn(CAUSES, cause) ? `${cause}: ${CAUSES[cause]}` : cause;
  return `gap: ${size} missing (${why}), boot ${boot} offset ${offset}`;
}
