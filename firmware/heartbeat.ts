/** Whether a controller lives: only then systemd's watchdog hears of it, else systemd starts it again. */

export interface Organs {
  /** Events that the site's loop has worked on; asking for one more must raise it. */
  turns(): number;
  nudge(): void;
  /** Ticks of the reader of open terminals; null while none is open. */
  sweeps(): number | null;
  /** Answered once the journal's thread has worked on what it was given. */
  pingJournal(): Promise<void>;
  /** A card that does not write is declared already; starting again would not mend it. */
  storageDegraded(): boolean;
}

/** Asked now and then: what has stood still since it was asked before. Nothing, the first time. */
export function createHeartbeat(organs: Organs): () => string[] {
  let before: { turns: number; sweeps: number | null } | null = null;
  let answered = true;
  return () => {
    const now = { turns: organs.turns(), sweeps: organs.sweeps() };
    const last = before;
    const still: string[] = [];
    if (last !== null) {
      if (now.turns <= last.turns) still.push("loop");
      if (now.sweeps !== null && last.sweeps !== null && now.sweeps === last.sweeps) still.push("ports");
      if (!answered && !organs.storageDegraded()) still.push("journal");
    }
    before = now;
    if (answered) {
      answered = false;
      void organs.pingJournal().then(() => {
        answered = true;
      });
    }
    organs.nudge();
    return still;
  };
}
