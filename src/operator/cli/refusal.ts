import { explain } from "../../core/codes.ts";
import { formatDuration } from "../../core/duration.ts";
import type { SiteReply } from "../client.ts";
import { EXIT } from "./command.ts";
import { jsonText, note, paint, print, safe } from "./out.ts";

/** Tells a rejection, as JSON or in words with its remedy, and gives its exit code. */
export function tellRejected(json: boolean, reply: SiteReply): number {
  if (json) print(jsonText({ ok: false, ...reply }));
  else note(`${paint("red", "rejected")}: ${refusalText(reply)}`);
  return EXIT.rejected;
}

function refusalText(reply: SiteReply): string {
  const retry = typeof reply.retryAfterMs === "number" ? ` Try again in ${formatDuration(reply.retryAfterMs)}.` : "";
  const detail = reply.detail ? ` [${safe(String(reply.detail))}]` : "";
  return `${explain(safe(String(reply.code)))}${detail}${retry}`;
}
