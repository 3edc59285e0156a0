import type { Code } from "../core/codes.ts";
import type { LineSettings } from "../core/line.ts";

/** A port: where the bytes of one console come from. Real or simulated, it opens itself again when it returns. */
export interface Port {
  start(events: PortEvents): void;
  /** Bytes to the device. How many it took: a port that is down takes none, and what it did not take is lost. */
  write(bytes: Uint8Array): number;
  /** A BREAK of that length; false where the port is down or cannot. */
  sendBreak(ms: number): Promise<boolean>;
  /** A BREAK that lasts until it is taken away, or the port is opened anew. False as above. */
  holdBreak(on: boolean): boolean;
  /** As the line has them now, or will have them when the port is there. */
  settings(): LineSettings;
  /** Other speed, framing and flow control from now on, also after a replug. False where the port is down or refuses. */
  setLine(settings: LineSettings): boolean;
  /** False where the port is down or has no such lines. */
  setModem(lines: { readonly dtr?: boolean; readonly rts?: boolean }): boolean;
  /** Drops what is on its way to the device and has not left. What comes from the device is never dropped. */
  dropOutput(): void;
  /** From now on bytes are told as soon as they come; without, some at a time. */
  watch(on: boolean): void;
  stop(): Promise<void>;
}

export interface PortEvents {
  /**
   * Before the first bytes of each opening: whether the terminal was open all along, in somebody's keeping. Told once
   * more where what is missing may also have come after bytes that were there already.
   */
  listening?(kept: boolean): void;
  up(): void;
  /** Told once per state: repeated tries that fail in the same way are silent. */
  down(code: Code, detail: string): void;
  /** Valid until the call returns. */
  data(bytes: Uint8Array): void;
  /** Here bytes may have been lost, nobody knows how many. */
  lost?(): void;
  /** Told when it changes, where the driver tells. */
  line?(status: LineStatus): void;
}

export interface LineStatus {
  readonly modem: Readonly<Record<"cts" | "dsr" | "dcd" | "ring" | "dtr" | "rts", boolean>> | null;
  /** Since the port was opened. */
  readonly errors: Readonly<Record<"framing" | "parity" | "breaks" | "overrun", number>> | null;
}
