import type { Event } from "../core/events.ts";
import type { Gap } from "../journal/range.ts";
import type { CaptureItem, TrackHead } from "../journal/store.ts";
import type { Port } from "./port.ts";

/** From ports to the journal: every byte gets its offset, every possible loss is declared. */

export interface CaptureOptions {
  readonly ports: readonly { readonly name: string; readonly port: Port }[];
  readonly boot: number;
  readonly heads: Readonly<Record<string, TrackHead>>;
  readonly monoMs: () => number;
  readonly append: (items: readonly CaptureItem[], urgent: boolean) => void;
  readonly emit: (event: Extract<Event, { type: "console-changed" | "console-line" }>) => void;
}

export interface Capture {
  start(): void;
  stop(): Promise<void>;
  /** Offset of the next byte. */
  head(console: string): number;
}

/** What arrives within it goes to the journal in one piece of work. */
const BATCH_MS = 20;
/** The last words of a kernel go to the card at once. */
const PANIC = /panic|oops|watchdog|fatal exception|traceback|\bBUG:/i;

export function createCapture(options: CaptureOptions): Capture {
  const { boot, monoMs, append, emit } = options;
  const offsets = new Map<string, number>();
  let batch: CaptureItem[] = [];
  let urgent = false;
  let timer: NodeJS.Timeout | null = null;

  const flush = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (batch.length > 0) append(batch, urgent);
    batch = [];
    urgent = false;
  };

  const push = (name: string, content: CaptureItem["content"]): void => {
    const offset = offsets.get(name) ?? 0;
    batch.push({ track: rxTrack(name), boot, offset, monoMs: monoMs(), content });
    if ("data" in content) offsets.set(name, offset + content.data.length);
    timer ??= setTimeout(flush, BATCH_MS);
  };

  const begin = ({ name, port }: CaptureOptions["ports"][number]): void => {
    const head = options.heads[rxTrack(name)];
    offsets.set(name, head?.boot === boot ? head.next : 0);
    const declare = (cause: Gap["cause"]) => push(name, { gap: { cause, length: null } });
    // Nobody listened between the last life and this one.
    if (head !== undefined) declare(head.boot === boot ? "start" : "reboot");
    let isUp = false;
    let replugged = false;
    let overrun = 0;
    /** Before the first byte of a port that returns, not after those that it held. */
    const declareReplug = (): void => {
      if (replugged) declare("replug");
      replugged = false;
    };
    port.start({
      up: () => {
        declareReplug();
        isUp = true;
        overrun = 0;
        emit({ type: "console-changed", console: name, state: "up", code: null, detail: "" });
      },
      lost: () => declare("overrun"),
      down: (code, detail) => {
        replugged ||= isUp;
        isUp = false;
        emit({ type: "console-changed", console: name, state: "down", code, detail });
      },
      line: (status) => {
        // What the chip or the kernel lost nobody can count.
        if ((status.errors?.overrun ?? 0) > overrun) declare("overrun");
        overrun = status.errors?.overrun ?? 0;
        emit({ type: "console-line", console: name, ...status });
      },
      data: (data) => {
        declareReplug();
        urgent ||= PANIC.test(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1"));
        push(name, { data });
      },
    });
  };

  return {
    start: () => options.ports.forEach(begin),
    async stop() {
      await Promise.all(options.ports.map(({ port }) => port.stop()));
      flush();
    },
    head: (name) => offsets.get(name) ?? 0,
  };
}

export function rxTrack(console: string): string {
  return `${console}/rx`;
}
