import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A file as systemd reads it: each setting with all its values, an empty one resets. */
export type UnitFile = ReadonlyMap<string, readonly string[]>;

/** `/usr/lib` of a site. */
export const SYSTEM = join(import.meta.dirname, "../../firmware/system/usr/lib");

export function systemText(path: string): string {
  return readFileSync(join(SYSTEM, path), "utf8");
}

export function readUnit(path: string): UnitFile {
  const settings = new Map<string, string[]>();
  let section = "";
  for (const line of systemText(path).split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const named = /^\[(\w+)\]$/.exec(line)?.[1];
    if (named !== undefined) {
      section = named;
      continue;
    }
    const [, name, value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`${path}: systemd would not understand: ${line}`);
    const key = `${section}.${name}`;
    settings.set(key, [...(settings.get(key) ?? []), value.trim()]);
  }
  return settings;
}
