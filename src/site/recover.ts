import { applyRecord, type Durable, EMPTY_DURABLE, type LedgerRecord } from "../core/ledger.ts";
import { GENESIS, LedgerChain, textHash } from "../protocol/ledger-chain.ts";

/** The durable state: the newest snapshot and the records after it. Both come from checksummed records of our own. */
export function recoverDurable(recovered: { snapshot: string | null; records: readonly string[] }): Durable {
  const first: Durable =
    recovered.snapshot === null ? EMPTY_DURABLE : { ...EMPTY_DURABLE, ...parse<Durable>(recovered.snapshot) };
  return recovered.records.reduce((durable, json) => applyRecord(durable, parse<LedgerRecord>(json)), first);
}

/** The chain goes on from the last record that was stored. */
export function recoverChain(recovered: { records: readonly string[] }, durable: Durable): LedgerChain {
  const last = recovered.records.at(-1);
  return new LedgerChain(last === undefined ? (durable.chain ?? GENESIS) : textHash(last), durable.seq);
}

/** The number of this start within its boot. */
export function nextStart(durable: Durable, boot: number): number {
  return durable.boot === boot ? durable.start + 1 : 1;
}

/** Where each capture track stood at the clean end of the life before; null when it did not end so. */
export function stoppedAt(records: readonly string[]): Readonly<Record<string, number>> | null {
  // The link says goodbye after it.
  const last = records
    .map((json) => parse<LedgerRecord>(json))
    .findLast(({ kind }) => kind === "start" || kind === "stop");
  return last?.kind === "stop" ? last.heads : null;
}

function parse<T>(json: string): T {
  return JSON.parse(json) as T;
}
