import type { BootClocks } from "../boot-clocks.ts";
import { asRecord } from "../client.ts";
import type { LedgerLine } from "../ledger-source.ts";
import { safe } from "./out.ts";

/** A record of the ledger on one line: when, its number, what it is, and the rest as `name=value`. */
export function eventLine(record: LedgerLine, clocks: BootClocks): string {
  const { seq, boot, mono, kind, reply: _, heads: __, intent, ...rest } = record;
  const time = clocks.text(Number(boot), Number(mono));
  const detail = Object.entries({ ...rest, ...asRecord(intent) }).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return safe(`${time} #${seq} ${kind} ${detail.join(" ")}`.trimEnd());
}
