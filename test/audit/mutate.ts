import { type Beliefs, verifyExport } from "../../src/operator/audit/verify.ts";
import { type Random, seeded } from "../sim/random.ts";
import { EDITS } from "./edits.ts";
import { busyDay, fingerprintOfKey, verify } from "./site.ts";

/** Edits of an export of a real site's ledger, one at a time; each must be seen. */

export interface Mutated {
  /** The unedited export is whole and proven. */
  readonly whole: boolean;
  readonly edits: number;
  readonly detected: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly unseen: readonly string[];
}

export const beliefs: Beliefs = { key: fingerprintOfKey("site"), roots: [fingerprintOfKey("root")], trust: [], verify };

const SHOWN = 5;

export async function mutate(edits: number, seed: number, tell: (done: number) => void = () => undefined) {
  // The head signs the last ten: what stands before them is held by the chain.
  const text = await (await busyDay()).export(10);
  const bytes = Buffer.from(text);
  const random = seeded(seed);
  const byKind: Record<string, number> = {};
  const unseen: string[] = [];
  let detected = 0;
  for (let done = 0; done < edits; done++) {
    const { kind, edited } = editOf(text, bytes, random);
    byKind[kind] = (byKind[kind] ?? 0) + 1;
    if (!verifyExport(edited, beliefs).ok) detected++;
    else if (unseen.length < SHOWN) unseen.push(`${kind}: ${differenceOf(bytes, edited)}`);
    tell(done + 1);
  }
  const mutated: Mutated = { whole: verifyExport(bytes, beliefs).ok, edits, detected, byKind, unseen };
  return mutated;
}

/** One that changes something: a line that is swapped with itself is no edit. */
function editOf(text: string, bytes: Buffer, random: Random): { kind: string; edited: Uint8Array } {
  for (;;) {
    const kind = random.pick(Object.keys(EDITS));
    const edited = Buffer.from(EDITS[kind]?.(text, random) ?? text);
    if (!edited.equals(bytes)) return { kind, edited };
  }
}

function differenceOf(before: Uint8Array, after: Uint8Array): string {
  const at = before.findIndex((byte, index) => byte !== after[index]);
  const show = (bytes: Uint8Array) => Buffer.from(bytes.subarray(Math.max(0, at - 40), at + 40)).toString("utf8");
  return `at ${at}: ${JSON.stringify(show(before))} became ${JSON.stringify(show(after))}`;
}
