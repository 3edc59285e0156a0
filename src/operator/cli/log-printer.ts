import type { Chunk } from "../../protocol/chunk.ts";
import type { ClockAt } from "../answers.ts";
import { type Line, LineCutter } from "../lines.ts";
import { ConsoleText, jsonText, note, safe } from "./out.ts";

/** How captured bytes are shown: as text for a terminal, with times, as JSON lines, or raw. */
export type LogMode = "text" | "timestamps" | "json" | "raw";

export class LogPrinter {
  private readonly mode: LogMode;
  private readonly write: (text: string | Uint8Array) => void;
  private readonly cutter = new LineCutter();
  private readonly text = new ConsoleText();
  private readonly clocks = new Map<number, ClockAt>();
  private endedLine = true;

  constructor(mode: LogMode, write: (text: string | Uint8Array) => void) {
    this.mode = mode;
    this.write = write;
  }

  get json(): boolean {
    return this.mode === "json";
  }

  /** Beside the captured bytes, never among them. */
  gaps(gaps: readonly { cause: string; length: number | null; offset: number }[]): void {
    for (const { cause, length, offset } of gaps) {
      note(`-- gap: ${safe(cause)}, ${length === null ? "length unknown" : `${length} bytes`}, at ${offset} --`);
    }
  }

  learnClocks(clocks: readonly ClockAt[]): void {
    for (const clock of clocks) this.clocks.set(clock.boot, clock);
  }

  chunk(chunk: Chunk): void {
    if (this.mode === "raw") return this.write(chunk.data);
    if (this.mode === "text") return this.show(this.text.push(chunk.data));
    for (const line of this.cutter.push(chunk)) this.line(line);
  }

  end(): void {
    if (this.mode === "text") {
      this.show(this.text.push(new Uint8Array(), true));
      if (!this.endedLine) this.write("\n");
    } else for (const line of this.cutter.end()) this.line(line);
  }

  private show(text: string): void {
    if (text === "") return;
    this.write(text);
    this.endedLine = text.endsWith("\n");
  }

  private line(line: Line): void {
    const t = this.timeOf(line);
    if (this.mode === "json") {
      const text = Buffer.from(line.bytes).toString("utf8");
      return this.write(`${jsonText({ t, boot: line.boot, offset: line.offset, text })}\n`);
    }
    const shown = new ConsoleText().push(line.bytes, true);
    // A lone carriage return is a newline: each part gets the time of its line.
    for (const part of shown.split("\n")) this.write(`${t ?? "time unknown"} ${part}\n`);
  }

  private timeOf(line: Line): string | null {
    const clock = this.clocks.get(line.boot);
    return clock === undefined ? null : new Date(clock.wall + (line.monoMs - clock.mono)).toISOString();
  }
}
