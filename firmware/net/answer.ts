import type { NetUplinks } from "../../src/config/uplinks.ts";
import { isRecord, parseJson } from "../../src/protocol/envelope.ts";
import { applyUplinks } from "./apply.ts";
import { type Memory, run } from "./machine.ts";

/**
 * What the controller may ask of root, and nothing else: no request names an interface, an address or a program, those
 * are in the config, which only root writes.
 */
export type Answer =
  | { readonly ok: true; readonly mended: readonly string[] }
  | { readonly ok: false; readonly error: string };

const LIMIT_BYTES = 4_096;
const BLOCK_MAX_S = 60;
const YEAR_MS = 31_557_600_000;

export function answer(request: Uint8Array, uplinks: NetUplinks, uid: number, memory: Memory, builtMs: number): Answer {
  const value = request.length > LIMIT_BYTES ? null : parseJson(request);
  if (!isRecord(value)) return { ok: false, error: "not a request" };
  try {
    if (value.do === "apply") return { ok: true, mended: applyUplinks(uplinks, uid, memory) };
    if (value.do === "block") return block(uplinks, value.seconds);
    if (value.do === "clock") return setClock(value.wallMs, builtMs);
    return { ok: false, error: "unknown request" };
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

/** The kernel ends it: whoever asked may be dead by then. */
function block({ primary }: NetUplinks, seconds: unknown): Answer {
  if (primary === null) return { ok: false, error: "the config has no primary uplink" };
  if (!Number.isInteger(seconds) || Number(seconds) < 1 || Number(seconds) > BLOCK_MAX_S)
    return { ok: false, error: `seconds: 1 to ${BLOCK_MAX_S}` };
  const element = `{ ${JSON.stringify(primary.interface)} timeout ${seconds}s }`;
  run("nft", ["add", "element", "inet", "towpath", "drill", element]);
  return { ok: true, mended: [] };
}

/** Between the day of the build and thirty years later: nothing outside that is the time. */
function setClock(wallMs: unknown, builtMs: number): Answer {
  if (typeof wallMs !== "number" || !(wallMs >= builtMs && wallMs < builtMs + 30 * YEAR_MS))
    return { ok: false, error: "that cannot be the time" };
  run("date", ["-u", "-s", new Date(wallMs).toISOString()]);
  return { ok: true, mended: [] };
}
