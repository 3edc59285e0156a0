import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lines } from "../power/bank.ts";

/**
 * A board of relays without hardware. Like real ones they keep their state when the controller dies: it is whatever
 * the last lines of `sim-board.jsonl` say, one line an edge. Faults are those of the field.
 */

export type RelayFault = "ok" | "stuck" | "bounce";

export interface SimBoard {
  readonly lines: Lines;
  /** Where the contact really is: differs from the line when the relay is stuck. */
  contact(relay: number): boolean;
  onContact(listener: (relay: number, energised: boolean) => void): void;
  setFault(relay: number, fault: RelayFault): void;
}

/** Contact bounce as bad relays show it: some changes, then rest. */
const BOUNCES = 4;
const BOUNCE_MS = 60;

export function openSimBoard(folder: string, relays: number, wallMs: () => number): SimBoard {
  const file = join(folder, "sim-board.jsonl");
  const levels = replay(file);
  endTornLine(file);
  const contacts = new Map(levels);
  const faults = new Map<number, RelayFault>();
  const listeners: ((relay: number, energised: boolean) => void)[] = [];
  const moveContact = (relay: number, energised: boolean): void => {
    if ((contacts.get(relay) ?? false) === energised) return;
    contacts.set(relay, energised);
    for (const listener of listeners) listener(relay, energised);
  };
  const settle = (relay: number): void => {
    const fault = faults.get(relay) ?? "ok";
    const energised = levels.get(relay) ?? false;
    if (fault === "stuck") return;
    if (fault === "ok") return moveContact(relay, energised);
    for (let bounce = 0; bounce <= BOUNCES; bounce++) {
      const at = bounce % 2 === 0 ? energised : !energised;
      setTimeout(() => moveContact(relay, at), bounce * BOUNCE_MS);
    }
  };
  return {
    lines: {
      count: relays,
      read: (relay) => levels.get(relay) ?? false,
      write(relay, high) {
        if ((levels.get(relay) ?? false) === high) return;
        note(file, `${JSON.stringify({ t: wallMs(), relay, energised: high })}\n`);
        levels.set(relay, high);
        settle(relay);
      },
    },
    contact: (relay) => contacts.get(relay) ?? false,
    onContact: (listener) => void listeners.push(listener),
    setFault(relay, fault) {
      faults.set(relay, fault);
      if (fault === "ok") settle(relay);
    },
  };
}

/** A card that takes nothing stops no relay: only the next start does not know of the edge. */
function note(file: string, line: string): void {
  try {
    appendFileSync(file, line);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EROFS") throw error;
  }
}

/** What comes next must not be glued to a line that a crash tore. */
function endTornLine(file: string): void {
  if (existsSync(file) && !/(^|\n)$/.test(readFileSync(file, "utf8"))) appendFileSync(file, "\n");
}

/** A torn last line is an edge that was not made. */
function replay(file: string): Map<number, boolean> {
  const levels = new Map<number, boolean>();
  if (!existsSync(file)) return levels;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const found = /^\{"t":\d+,"relay":(\d+),"energised":(true|false)\}$/.exec(line);
    if (found !== null) levels.set(Number(found[1]), found[2] === "true");
  }
  return levels;
}
