import type { Code } from "../core/codes.ts";

/** A port: where the bytes of one console come from. Real or simulated, it opens itself again when it returns. */
export interface Port {
  start(events: PortEvents): void;
  /** Bytes to the device; what a port that is down is given is lost, and the return value says so. */
  write(bytes: Uint8Array): boolean;
  stop(): Promise<void>;
}

export interface PortEvents {
  up(): void;
  /** Told once per state: repeated tries that fail in the same way are silent. */
  down(code: Code, detail: string): void;
  /** The bytes are the listener's to keep. */
  data(bytes: Uint8Array): void;
}
