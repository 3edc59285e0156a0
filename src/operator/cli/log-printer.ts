import type { Chunk } from "../../protocol/chunk.ts";
import type { ClockAt } from "../answers.ts";
import { BootClocks, bootText } from "../boot-clocks.ts";
import type { DeclaredGap } from "../capture-source.ts";
import { gapText } from "../gap-text.ts";
import { type LineSearch, withoutOrders } from "../grep.ts";
import { type Line, LineCutter } from "../lines.ts";
import type { Item } from "../pieces.ts";
import { ConsoleText, jsonText, note as noteOnStderr, safe } from "./out.ts";

/** How captured bytes are shown: as text for a terminal, with times, as JSON lines, or raw. */
export type LogMode = "text" | "timestamps" | "json" | "raw";

/** Where what was read goes, in order. */
export interface LogSink {
  learnClocks(clocks: readonly ClockAt[]): void;
  item(item: Item): void;
  end(): void;
}

export interface PrinterOptions {
  /** Only the lines that match. */
  readonly search?: LineSearch | null;
  /** Beside the text. */
  readonly note?: (line: string) => void;
}

export class LogPrinter implements LogSink {
  private readonly mode: LogMode;
  private readonly write: (text: string | Uint8Array) => void;
  private readonly search: LineSearch | null;
  private readonly note: (line: string) => void;
  private readonly cutter = new LineCutter();
  private readonly clocks = new BootClocks();
  private readonly doubted = new Set<number>();
  private text = new ConsoleText();
  private endedLine = true;
  private boot: number | null = null;
  /** Lines that were searched, and those that matched. */
  searched = 0;
  matched = 0;

  constructor(mode: LogMode, write: (text: string | Uint8Array) => void, options: PrinterOptions = {}) {
    this.mode = mode;
    this.write = write;
    this.search = options.search ?? null;
    this.note = options.note ?? noteOnStderr;
  }

  get json(): boolean {
    return this.mode === "json";
  }

  learnClocks(clocks: readonly ClockAt[]): void {
    this.clocks.learn(clocks);
  }

  item(item: Item): void {
    if (item.chunk !== undefined) return this.chunk(item.chunk);
    this.enter(item.boot);
    this.gap(item.boot, item.gap);
  }

  /** Beside the captured bytes, never among them. What follows a gap begins a line of its own. */
  private gap(boot: number, gap: DeclaredGap): void {
    this.endLine();
    const time = gap.monoMs === undefined ? null : this.clocks.rfc3339(boot, gap.monoMs);
    this.note(`-- ${gapText(boot, gap)}${time === null ? "" : `, ${time}`} --`);
  }

  chunk(chunk: Chunk): void {
    this.enter(chunk.boot);
    if (this.mode === "raw") return this.write(chunk.data);
    if (this.streams) return this.show(this.text.push(chunk.data));
    this.lines(this.cutter.push(chunk));
  }

  end(): void {
    this.endLine();
  }

  /** Text is shown as it comes, also half a line, unless whole lines are searched. */
  private get streams(): boolean {
    return this.mode === "text" && this.search === null;
  }

  private enter(boot: number): void {
    if (this.boot === boot) return;
    if (this.boot !== null) {
      this.endLine();
      this.note(`-- the site's machine restarted: what follows was said in boot ${bootText(boot)} --`);
    }
    this.boot = boot;
    if (this.mode === "timestamps") this.doubt(boot);
  }

  private doubt(boot: number): void {
    const doubt = this.clocks.doubt(boot);
    if (doubt !== null && !this.doubted.has(boot)) this.note(`-- ${doubt} --`);
    this.doubted.add(boot);
  }

  private endLine(): void {
    if (!this.streams) return this.lines(this.cutter.end());
    this.show(this.text.push(new Uint8Array(), true));
    this.text = new ConsoleText();
    if (!this.endedLine) this.show("\n");
  }

  private show(text: string): void {
    if (text === "") return;
    this.write(text);
    this.endedLine = text.endsWith("\n");
  }

  private lines(lines: readonly Line[]): void {
    const found = this.search?.matching(lines.map(searchable)) ?? null;
    if (found !== null) this.searched += lines.length;
    for (const [index, line] of lines.entries()) {
      if (found !== null && found[index] !== true) continue;
      if (found !== null) this.matched++;
      this.line(line);
    }
  }

  private line(line: Line): void {
    if (this.mode === "json") {
      const t = this.clocks.rfc3339(line.boot, line.monoMs);
      const text = Buffer.from(line.bytes).toString("utf8");
      return this.write(`${jsonText({ t, boot: line.boot, offset: line.offset, text })}\n`);
    }
    const shown = new ConsoleText().push(line.bytes, true);
    if (this.mode === "text") return this.write(`${shown}\n`);
    const time = safe(this.clocks.text(line.boot, line.monoMs));
    // A lone carriage return is a newline: each part gets the time of its line.
    for (const part of shown.split("\n")) this.write(`${time} ${part}\n`);
  }
}

function searchable(line: Line): string {
  return withoutOrders(Buffer.from(line.bytes).toString("utf8"));
}
