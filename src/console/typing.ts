import type { Pacing, SequenceStep } from "../core/line.ts";

/** What is on its way to one device: typed bytes and sequences in order, no faster than the device can take them. */
export interface Typing {
  typed(session: string, bytes: Uint8Array): void;
  /** Calls back with whether all of it went out. */
  sequence(session: string, steps: readonly SequenceStep[], done: (sent: boolean) => void): void;
  /** Bytes that wait, of one session or of all. */
  waiting(session?: string): number;
  /** Drops what waits, of one session or of all. */
  drop(session: string | null): void;
  stop(): void;
}

export interface TypingOptions {
  readonly pacing: Pacing;
  readonly write: (bytes: Uint8Array) => number;
  readonly sendBreak: (ms: number) => Promise<boolean>;
  /** The device took nothing for a long time: what waited was dropped. */
  readonly stuck: (session: string, dropped: number) => void;
  readonly room: () => void;
}

/** After the terminal took less than it was given. */
const AGAIN_MS = 20;
const STUCK_MS = 10_000;
/** A timer is late now and then: so much is made up for at once. */
const CATCH_UP_CHARS = 8;
/** Later than that nothing was waiting. */
const LATE_MS = 50;
const CR = 13;
const LF = 10;

interface Item {
  readonly session: string;
  bytes: Uint8Array;
  readonly step: SequenceStep | null;
  readonly done: ((sent: boolean) => void) | null;
}

export function createTyping({ pacing, write, sendBreak, stuck, room }: TypingOptions): Typing {
  let items: Item[] = [];
  let timer: NodeJS.Timeout | null = null;
  let dueMs = 0;
  let stuckSinceMs: number | null = null;
  let breaking = false;

  const waiting = (session?: string): number =>
    items.reduce((sum, item) => (session === undefined || item.session === session ? sum + item.bytes.length : sum), 0);

  const later = (ms: number): void => {
    timer ??= setTimeout(() => {
      timer = null;
      pump();
    }, ms);
  };

  const pump = (): void => {
    while (timer === null && !breaking) {
      const [item] = items;
      if (item === undefined) return;
      if (item.step !== null && "breakMs" in item.step) return sendOne(item, item.step.breakMs);
      if (item.step !== null && "waitMs" in item.step) {
        finish(item, true);
        return later(item.step.waitMs);
      }
      if (!writeSome(item)) return;
    }
  };

  const sendOne = (item: Item, ms: number): void => {
    breaking = true;
    void sendBreak(ms).then((sent) => {
      breaking = false;
      finish(item, sent);
      if (!sent) drop(item.session);
      pump();
    });
  };

  const finish = (item: Item, sent: boolean): void => {
    items = items.filter((one) => one !== item);
    item.done?.(sent);
  };

  /** False when it must wait. */
  const writeSome = (item: Item): boolean => {
    const nowMs = performance.now();
    if (nowMs < dueMs) {
      later(dueMs - nowMs);
      return false;
    }
    const lateMs = nowMs - dueMs;
    const wanted = paced(item.bytes, pacing, lateMs < LATE_MS ? lateMs : 0);
    const taken = write(wanted);
    if (taken === 0) return waitForDevice(item, nowMs);
    stuckSinceMs = null;
    dueMs = nowMs + pauseAfter(item.bytes.subarray(0, taken), pacing);
    item.bytes = item.bytes.subarray(taken);
    if (item.bytes.length === 0) finish(item, true);
    room();
    return true;
  };

  const waitForDevice = (item: Item, nowMs: number): false => {
    stuckSinceMs ??= nowMs;
    if (nowMs - stuckSinceMs < STUCK_MS) {
      later(AGAIN_MS);
      return false;
    }
    stuckSinceMs = null;
    const dropped = waiting();
    drop(null);
    stuck(item.session, dropped);
    return false;
  };

  const drop = (session: string | null): void => {
    const dropped = items.filter((one) => session === null || one.session === session);
    items = items.filter((one) => !dropped.includes(one));
    for (const { done } of dropped) done?.(false);
    room();
  };

  return {
    typed(session, bytes) {
      items.push({ session, bytes: Uint8Array.from(bytes), step: null, done: null });
      pump();
    },
    sequence(session, steps, done) {
      for (const [index, step] of steps.entries()) {
        const text = "text" in step ? Buffer.from(step.text, "utf8") : new Uint8Array();
        const last = index === steps.length - 1;
        items.push({ session, bytes: text, step: "text" in step ? null : step, done: last ? done : null });
      }
      pump();
    },
    waiting,
    drop,
    stop() {
      if (timer !== null) clearTimeout(timer);
      items = [];
      breaking = true;
    },
  };
}

/** How much of it may go now: up to the end of a line where lines are paced, a few characters where those are. */
function paced(bytes: Uint8Array, { charMs, lineMs }: Pacing, lateMs: number): Uint8Array {
  const chars = charMs === 0 ? bytes.length : Math.min(CATCH_UP_CHARS, 1 + Math.floor(Math.max(0, lateMs) / charMs));
  if (lineMs === 0) return bytes.subarray(0, chars);
  const end = bytes.findIndex((byte) => byte === CR || byte === LF);
  return bytes.subarray(0, end < 0 ? chars : Math.min(chars, end + 1));
}

function pauseAfter(sent: Uint8Array, { charMs, lineMs }: Pacing): number {
  const last = sent.at(-1);
  return last === CR || last === LF ? Math.max(lineMs, charMs) : charMs;
}
