import type { LineSequence, LineSettings } from "../core/line.ts";
import type { SessionMode, SessionRights, SessionWho } from "../core/sessions.ts";
import type { SessionMessage } from "../protocol/session.ts";
import type { LineStatus } from "./port.ts";

/** Where what a console says goes to. It bounds what it holds: the capture waits for nobody. */
export interface Viewer {
  /** Live bytes; valid until the call returns. */
  data(offset: number, bytes: Uint8Array): void;
  tell(message: SessionMessage): void;
  /** What is typed is taken again. */
  room?(): void;
  modem?(modem: LineStatus["modem"]): void;
  /** It is over; nothing is told after that. */
  end(code: string): void;
}

export interface SessionOptions {
  readonly console: string;
  readonly who: SessionWho;
  readonly rights: SessionRights;
  readonly mode: SessionMode;
  readonly from: string;
  /** Whether a changed speed stays when it leaves. */
  readonly keepLine?: boolean;
}

/** One who is attached. */
export interface Session {
  readonly id: string;
  /** False where it was not taken: somebody else types, or the port is down. */
  type(bytes: Uint8Array): boolean;
  /** Whether more typed bytes are welcome. */
  roomy(): boolean;
  /** Whether something that it typed has not gone out. */
  pending(): boolean;
  mayType(): boolean;
  ask(what: "request" | "claim" | "steal" | "join" | "release"): void;
  /** A BREAK or a named sequence. */
  send(name: string, confirmed: boolean): void;
  holdBreak(on: boolean): boolean;
  line(): LineSettings;
  /** As it is then. */
  setLine(settings: LineSettings): LineSettings;
  setModem(lines: { readonly dtr?: boolean; readonly rts?: boolean }): void;
  modem(): LineStatus["modem"];
  /** Drops what it typed and did not go out. */
  dropTyped(): void;
  /** A sign of life. */
  heard(): void;
  shown(bytes: number): void;
  missed(bytes: number): void;
  leave(how: string): void;
}

export interface SessionConsole {
  readonly name: string;
  readonly device: string;
  readonly sequences: readonly LineSequence[];
}
