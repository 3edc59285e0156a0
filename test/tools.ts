import { existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/** Whether a program of somebody else is here; where it is not, what needs it is left out, aloud. */
export function has(program: string, bringsIt: string): boolean {
  const places = isAbsolute(program)
    ? [program]
    : [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"].map((folder) => join(folder, program));
  const found = places.some((place) => existsSync(place));
  if (!found) console.warn(`NOT RUN: what needs ${program}; it is missing (apt-get install ${bringsIt})`);
  return found;
}
