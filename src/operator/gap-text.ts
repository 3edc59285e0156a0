import { bootText } from "./boot-clocks.ts";
import type { DeclaredGap } from "./capture-source.ts";

/** What each cause of a gap means to who looks for the missing text. */
const CAUSES: Readonly<Record<string, string>> = {
  start: "the controller was not running",
  reboot: "the site's machine restarted",
  crash: "the controller crashed",
  replug: "the adapter was unplugged or lost",
  quota: "overwritten by newer text before it was read",
  renumbered: "the site counts anew, its card was replaced or emptied: some of it may be here twice",
  overrun: "it came faster than it could be stored",
};

/** One line, without its brackets. */
export function gapText(boot: number, { cause, length, offset, count = 1 }: DeclaredGap): string {
  const size = length === null ? "text may be missing" : `${length} bytes missing`;
  const why = Object.hasOwn(CAUSES, cause) ? `${cause}: ${CAUSES[cause]}` : cause;
  const what = count > 1 ? `${count} gaps` : "gap";
  return `${what}: ${size} (${why}), ${count > 1 ? "the last at " : ""}boot ${bootText(boot)} offset ${offset}`;
}
