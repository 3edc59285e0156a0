import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../src/disk/disk.ts";
import type { LinkOptions } from "../src/link/link.ts";
import { isRecord, parseJson } from "../src/protocol/envelope.ts";

/** How long each path lets a connection be silent, kept over restarts. Losing it costs a few reconnects. */
export function keepaliveMemory(data: string): NonNullable<LinkOptions["keepalive"]> {
  const file = join(data, "keepalive.json");
  const known: Record<string, unknown> = { ...readRecord(file) };
  return {
    saved: (uplink) => (typeof known[uplink] === "number" ? known[uplink] : null),
    save(uplink, seconds) {
      known[uplink] = seconds;
      try {
        writeWhole(file, JSON.stringify(known));
      } catch {
        // A card that takes nothing now: it is found out again.
      }
    },
  };
}

function readRecord(file: string): Readonly<Record<string, unknown>> | null {
  try {
    const value = parseJson(readFileSync(file, "utf8"));
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}
