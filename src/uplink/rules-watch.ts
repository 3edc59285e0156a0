import { execFile } from "node:child_process";
import { isRecord, parseJson } from "../protocol/envelope.ts";
import { LTE_TABLE, RULE_PREF } from "./addresses.ts";

/** Looks whether what keeps the LTE path apart is still there. Everybody may look; only the helper may mend. */

/** What is missing, or null while all is there. `sources`: those from which connections are made now. */
export async function missingRules(sources: readonly string[], device: string): Promise<string | null> {
  for (const source of sources) {
    const family = source.includes(":") ? "-6" : "-4";
    const lines = await ipJson([family, "rule"]);
    const pinned = lines.some(
      (line) => line.src === source && line.priority === RULE_PREF && String(line.table) === String(LTE_TABLE),
    );
    if (!pinned) return `the rule from ${source} to table ${LTE_TABLE} is gone`;
    const closed = lines.some((line) => line.src === source && line.action === "unreachable");
    if (!closed) return `the rule that ends what comes from ${source} is gone`;
    const routes = await ipJson([family, "route", "show", "table", String(LTE_TABLE), "default"]).catch(() => []);
    const [wrong] = routes.filter((one) => one.dev !== device);
    if (wrong !== undefined) return `table ${LTE_TABLE} leads out by ${String(wrong.dev)}`;
    if (routes.length === 0) return `table ${LTE_TABLE} has no way out by ${device}`;
  }
  return null;
}

function ipJson(args: readonly string[]): Promise<Readonly<Record<string, unknown>>[]> {
  return new Promise((resolve, reject) => {
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" };
    execFile("ip", ["-j", ...args], { env, timeout: 5_000 }, (error, out) => {
      if (error !== null) return reject(error);
      const value = parseJson(Buffer.from(out || "[]"));
      resolve(Array.isArray(value) ? value.filter(isRecord) : []);
    });
  });
}
