import type { ConsoleGap, Event } from "../core/events.ts";
import type { Gap } from "../journal/range.ts";
import type { CaptureItem, TrackHead } from "../journal/store.ts";
import { createBatch } from "./batch.ts";
import { createPanicSearch } from "./panic.ts";
import type { Port } from "./port.ts";
import { createTrack, type Track } from "./track.ts";

/** From ports to the journal: every byte gets its offset, every possible loss is declared. */

export interface CaptureOptions {
  readonly ports: readonly CapturedPort[];
  readonly boot: number;
  /** What the journal holds of the lives before; null at the very first start. */
  readonly before: Before | null;
  readonly monoMs: () => number;
  /** Takes its own copy of the bytes before it returns. */
  readonly append: (items: readonly CaptureItem[], urgent: boolean) => void;
  /** Resolves when all that was appended before has been worked on. */
  readonly written: () => Promise<void>;
  /** What each console says, as it comes; valid until the call returns. */
  readonly heard?: (console: string, offset: number, bytes: Uint8Array) => void;
  readonly emit: (event: Extract<Event, { type: "console-changed" | "console-line" | "console-gap" }>) => void;
}

interface CapturedPort {
  readonly name: string;
  readonly port: Port;
  /** Whether what is typed is recorded too. */
  readonly tx: boolean;
}

interface Before {
  readonly boot: number;
  readonly heads: Readonly<Record<string, TrackHead>>;
  /** Where each track stood when the program ended cleanly; null when it did not. */
  readonly stopped: Readonly<Record<string, number>> | null;
}

export interface Capture {
  start(): void;
  stop(): Promise<void>;
  /** Offset of the next byte of each track. */
  heads(): Record<string, number>;
  /** Until then its bytes are read and handed on as soon as they come. */
  watch(console: string, untilMs: number): void;
  /** Bytes to the device. How many it took. */
  write(console: string, bytes: Uint8Array): number;
  /** The journal is behind: a flood should wait in the kernel. */
  behind(): boolean;
}

export function createCapture(options: CaptureOptions): Capture {
  const { boot, before, monoMs, emit } = options;
  const batch = createBatch(options);
  const consoles = new Map(options.ports.map((one) => [one.name, { ...one, ...tracksOf(one) }]));
  const watches = new Map<string, { untilMs: number; timer: NodeJS.Timeout }>();

  function trackOf(console: string, kind: ConsoleGap["track"]): Track {
    const head = before?.heads[`${console}/${kind}`];
    return createTrack({
      name: `${console}/${kind}`,
      boot,
      next: head?.boot === boot ? head.next : 0,
      monoMs,
      batch,
      told: ({ offset, ...gap }) => emit({ type: "console-gap", console, track: kind, boot, offset, ...gap }),
    });
  }

  function tracksOf({ name, tx }: CapturedPort): { rx: Track; sent: Track | null } {
    return { rx: trackOf(name, "rx"), sent: tx ? trackOf(name, "tx") : null };
  }

  /** What may be missing between the last life and this one. */
  const sinceBefore = (track: Track): Missing => {
    if (before === null) return null;
    // The last life knew no such track: a console that came or was renamed, or what is typed is recorded from now on.
    if (before.stopped !== null && !Object.hasOwn(before.stopped, track.name)) return "new";
    if (before.boot !== boot) return "reboot";
    return before.stopped?.[track.name] === track.next() ? "away" : "crash";
  };

  const begin = ({ name, port, rx, sent }: CapturedPort & { rx: Track; sent: Track | null }): void => {
    let missing = sinceBefore(rx);
    let listened = false;
    let overrun = 0;
    const search = createPanicSearch();
    // Of what we write ourselves nothing is missed while we are away.
    const unsent = sent === null ? null : sinceBefore(sent);
    const wasSent = before?.heads[`${name}/tx`] !== undefined;
    if (unsent === "crash" || (unsent === "reboot" && wasSent)) sent?.gap(unsent, null);
    // It was not recorded for a while: what was typed then is nowhere.
    if (unsent === "new" && wasSent) sent?.gap("start", null);
    let cause: Gap["cause"] | null = null;
    /** It stands here already: a port that opens and cannot be configured is opened again each second. */
    let declared = false;
    const listening = (kept: boolean): void => {
      if (missing !== null) cause = causeOf(missing, kept);
      missing = null;
      listened = true;
      overrun = 0;
      if (cause !== null && !declared) rx.gap(cause, null);
      declared ||= cause !== null;
    };
    port.start({
      listening,
      up: () => {
        // A port without a kernel behind it says no more than this.
        if (missing !== null || !listened) listening(false);
        declared = false;
        emit({ type: "console-changed", console: name, state: "up", code: null, detail: "" });
      },
      lost: () => rx.gap("overrun", null),
      down: (code, detail) => {
        if (listened) missing ??= "replug";
        emit({ type: "console-changed", console: name, state: "down", code, detail });
      },
      line: (status) => {
        // What the chip or the kernel lost nobody can count.
        if ((status.errors?.overrun ?? 0) > overrun) rx.gap("overrun", null);
        overrun = status.errors?.overrun ?? 0;
        emit({ type: "console-line", console: name, ...status });
      },
      data: (data) => {
        if (missing !== null) listening(false);
        declared = false;
        // The last words of a kernel go to the card at once.
        const offset = rx.next();
        rx.data(data, search.feed(data));
        options.heard?.(name, offset, data);
      },
    });
  };

  const unwatch = (name: string): void => {
    watches.delete(name);
    consoles.get(name)?.port.watch(false);
  };

  return {
    start: () => consoles.forEach(begin),
    async stop() {
      for (const { timer } of watches.values()) clearTimeout(timer);
      await Promise.all(options.ports.map(({ port }) => port.stop()));
      for (const { rx, sent } of consoles.values()) {
        rx.settle();
        sent?.settle();
      }
      batch.flush();
    },
    heads() {
      const tracks = [...consoles.values()].flatMap(({ rx, sent }) => (sent === null ? [rx] : [rx, sent]));
      return Object.fromEntries(tracks.map((track) => [track.name, track.next()]));
    },
    watch(name, untilMs) {
      const known = watches.get(name);
      if (!consoles.has(name) || untilMs <= Math.max(known?.untilMs ?? 0, monoMs())) return;
      clearTimeout(known?.timer);
      watches.set(name, { untilMs, timer: setTimeout(unwatch, untilMs - monoMs(), name) });
      if (known === undefined) consoles.get(name)?.port.watch(true);
    },
    write(name, bytes) {
      const to = consoles.get(name);
      const taken = to?.port.write(bytes) ?? 0;
      if (taken > 0) to?.sent?.data(bytes.subarray(0, taken), false);
      return taken;
    },
    behind: batch.behind,
  };
}

/** `away`: it ended cleanly, and all that it read is recorded. `new`: nobody recorded it before. */
type Missing = "away" | "new" | "crash" | "reboot" | "replug" | null;

function causeOf(missing: Missing, kept: boolean): Gap["cause"] | null {
  if (missing === "away") return kept ? null : "start";
  if (missing === "new") return "start";
  return missing;
}

export function rxTrack(console: string): string {
  return `${console}/rx`;
}

export function txTrack(console: string): string {
  return `${console}/tx`;
}
