import { NAME } from "../protocol/topics.ts";

/**
 * Where things lie in a collect folder. Names come off the wire, so nothing is put together here that did not pass the
 * pattern of names: no path leads out of the folder.
 */

export type Way = "rx" | "tx";

export const STATUS_FILE = "status.json";
export const LOCK_FILE = "collect.lock";

export function siteFolder(fleet: string, site: string): string {
  for (const name of [fleet, site]) checkName(name);
  return `${fleet}/${site}`;
}

export function eventsFile(siteFolder: string): string {
  return `${siteFolder}/events.jsonl`;
}

export function trackFolder(siteFolder: string, console: string, way: Way): string {
  checkName(console);
  return `${siteFolder}/${console}.${way}`;
}

/** The UTC day of a wall time, as in the names of files. */
export function dayOf(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 10);
}

const TRACK = /^([a-z0-9][a-z0-9-]{0,62})\.(rx|tx)$/;

/** Null for a folder that is no track's. */
export function parseTrackFolder(name: string): { console: string; way: Way } | null {
  const [, console, way] = TRACK.exec(name) ?? [];
  return console === undefined || way === undefined ? null : { console, way: way === "tx" ? "tx" : "rx" };
}

function checkName(name: string): void {
  if (!NAME.test(name)) throw new Error(`not a name: ${JSON.stringify(name)}`);
}
