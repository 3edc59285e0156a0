import { safe } from "./out.ts";

/** Both streams of a command that writes much: text, notes beside it, and a line that tells how far it is. */
export interface ScreenStream {
  readonly isTTY?: boolean | undefined;
  readonly writableNeedDrain?: boolean;
  write(piece: string | Uint8Array): boolean;
  once(event: "drain" | "close", listener: () => void): unknown;
  off(event: "drain" | "close", listener: () => void): unknown;
}

export class Screen {
  private readonly out: ScreenStream;
  private readonly err: ScreenStream;
  private midLine = false;
  private shown = false;

  constructor(out: ScreenStream = process.stdout, err: ScreenStream = process.stderr) {
    this.out = out;
    this.err = err;
  }

  readonly write = (piece: string | Uint8Array): void => {
    if (piece.length === 0) return;
    this.clear();
    this.out.write(piece);
    this.midLine = typeof piece === "string" ? piece.endsWith("\n") === false : piece.at(-1) !== 10;
  };

  readonly note = (line: string): void => {
    this.clear();
    this.err.write(`${safe(line)}\n`);
  };

  /** Only for a person who waits: never on a pipe, never in the middle of a line of text on the same terminal. */
  progress(line: string): void {
    if (this.err.isTTY !== true || (this.out.isTTY === true && this.midLine)) return;
    this.err.write(`\r${safe(line)}\u001b[K`);
    this.shown = true;
  }

  clear(): void {
    if (this.shown) this.err.write("\r\u001b[K");
    this.shown = false;
  }

  /** Until who reads can take more. */
  ready(): Promise<void> {
    if (this.out.writableNeedDrain !== true) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.out.off("drain", done);
        this.out.off("close", done);
        resolve();
      };
      this.out.once("drain", done);
      this.out.once("close", done);
    });
  }
}
