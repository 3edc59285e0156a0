import { StringDecoder } from "node:string_decoder";
import type { ClockAt } from "../answers.ts";
import { BootClocks } from "../boot-clocks.ts";
import { gapText } from "../gap-text.ts";
import { type Item, stretches } from "../pieces.ts";
import type { LogSink } from "./log-printer.ts";
import { jsonText } from "./out.ts";

/**
 * A console as an asciicast, version 2: a header line, then one event a line, `[seconds, "o", text]`, with the pauses
 * that there were. A gap and a restart are markers. The text has the console's escapes: a player shows them as they were.
 */
export class CastWriter implements LogSink {
  private readonly write: (line: string) => void;
  private readonly title: string;
  private readonly clocks = new BootClocks();
  private decoder = new StringDecoder("utf8");
  private boot: number | null = null;
  /** Seconds of the cast at a time of the boot. */
  private zero = { seconds: 0, monoMs: 0 };
  private firstWallMs: number | null = null;
  private last = 0;
  private headed = false;
  gaps = 0;

  constructor(title: string, write: (line: string) => void) {
    this.title = title;
    this.write = write;
  }

  /** How long it plays. */
  get seconds(): number {
    return this.last;
  }

  learnClocks(clocks: readonly ClockAt[]): void {
    this.clocks.learn(clocks);
  }

  item(item: Item): void {
    if (item.chunk === undefined) return this.gap(item);
    const { chunk } = item;
    for (const { monoMs, data } of stretches(chunk)) {
      this.enter(chunk.boot, monoMs);
      const text = this.decoder.write(Buffer.from(data));
      if (text !== "") this.event(this.secondsAt(monoMs), "o", text);
    }
  }

  end(): void {
    this.flush();
    this.head(null);
  }

  private gap({ gap, boot }: Extract<Item, { chunk?: undefined }>): void {
    this.flush();
    if (gap.monoMs !== undefined) this.enter(boot, gap.monoMs);
    this.head(null);
    this.gaps++;
    this.event(gap.monoMs === undefined ? this.last : this.secondsAt(gap.monoMs), "m", gapText(boot, gap));
  }

  /** A character that was torn by a gap or a restart is shown as unreadable, not joined with what follows. */
  private flush(): void {
    const rest = this.decoder.end();
    this.decoder = new StringDecoder("utf8");
    if (rest !== "") this.event(this.last, "o", rest);
  }

  private enter(boot: number, monoMs: number): void {
    if (this.boot === boot) return;
    const wall = this.clocks.wallMs(boot, monoMs);
    this.head(wall);
    if (this.boot !== null) {
      this.flush();
      // Between two boots without a calendar nobody knows how long it was dark.
      const seconds = wall === null || this.firstWallMs === null ? this.last + 1 : (wall - this.firstWallMs) / 1_000;
      this.zero = { seconds: Math.max(this.last, seconds), monoMs };
      this.event(this.zero.seconds, "m", `the site's machine restarted: boot ${boot}`);
    } else {
      this.zero = { seconds: 0, monoMs };
      this.firstWallMs = wall;
    }
    this.boot = boot;
  }

  private secondsAt(monoMs: number): number {
    return this.zero.seconds + (monoMs - this.zero.monoMs) / 1_000;
  }

  private event(seconds: number, kind: "o" | "m", text: string): void {
    this.last = Math.max(this.last, Math.round(seconds * 1_000) / 1_000);
    this.write(`${jsonText([this.last, kind, text])}\n`);
  }

  private head(wallMs: number | null): void {
    if (this.headed) return;
    this.headed = true;
    const timestamp = wallMs === null ? {} : { timestamp: Math.floor(wallMs / 1_000) };
    this.write(`${jsonText({ version: 2, width: 80, height: 24, ...timestamp, title: this.title })}\n`);
  }
}
