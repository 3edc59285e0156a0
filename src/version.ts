import { readFileSync } from "node:fs";

/** The version in package.json, from a checkout or from the compiled tree. */
export function packageVersion(): string {
  for (const place of ["../package.json", "../../package.json"]) {
    try {
      return (JSON.parse(readFileSync(new URL(place, import.meta.url), "utf8")) as { version: string }).version;
    } catch {
      // The compiled tree lies one folder deeper; the next place is the right one there.
    }
  }
  return "unknown";
}
