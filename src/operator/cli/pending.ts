import { formatDuration } from "../../core/duration.ts";
import { safe } from "./out.ts";

/** What a command in execution waits for: `a1 on in 8 s`. A site of an earlier version tells only what it does. */
export function pendingText({ doing, next, leftMs }: Readonly<Record<string, unknown>>): string {
  if (typeof next !== "string") return safe(String(doing ?? "waiting for the card"));
  const when = typeof leftMs === "number" ? `in ${formatDuration(Math.ceil(leftMs / 1_000) * 1_000)}` : "then";
  return safe(doing === "observe" ? `waits for its sensor, then ${next}` : `${next} ${when}`);
}
