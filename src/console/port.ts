import type { Code } from "../core/codes.ts";

/** A port: where the bytes of one console come from. Real or simulated, it opens itself again when it returns. */
export interface Port {
  start(events: PortEvents): void;
  /** Bytes to the device; what a port that is down is given is lost, and the return value says so. */
  write(bytes: Uint8Array): boolean;
  /** A BREAK of that length; false where the port is down or cannot. */
  sendBreak(ms: number): Promise<boolean>;
  stop(): Promise<void>;
}

export interface PortEvents {
  up(): void;
  /** Told once per state: repeated tries that fail in the same way are silent. */
  down(code: Code, detail: string): void;
  /** The bytes are the listener's to keep. */
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
