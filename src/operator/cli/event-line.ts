import type { BootClocks } from "../boot-clocks.ts";
import { asRecord } from "../client.ts";
import type { LedgerLine } from "../ledger-source.ts";
import { safe } from "./out.ts";

/** Not for a person: evidence is for `towpath audit`, an answer went to who asked, the first words of the line are said otherwise. */
const UNSHOWN = new Set([
  "seq",
  "boot",
  "mono",
  "kind",
  "reply",
  "heads",
  "intent",
  "prev",
  "nonce",
  "signed",
  "document",
]);

/** A record of the ledger on one line: when, its number, what it is, and the rest as `name=value`. */
export function eventLine(record: LedgerLine, clocks: BootClocks): string {
  const { seq, boot, mono, kind, intent } = record;
  const time = clocks.text(Number(boot), Number(mono));
  const shown = Object.entries(record).filter(([name]) => !UNSHOWN.has(name));
  const detail = [...shown, ...Object.entries(asRecord(intent) ?? {})].map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return safe(`${time} #${seq} ${kind} ${detail.join(" ")}`.trimEnd());
}
