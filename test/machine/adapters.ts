import type { FtdiEvent } from "./ftdi-pcap.ts";

/** How an FTDI adapter is plugged in. */
export interface AdapterOptions {
  /** Its serial number, as in `/dev/serial/by-id`. Default `CONSOLE<n>`. Two may have the same. */
  readonly serial?: string;
  /** The socket that it is put in: 1–4 on either machine. Default: its number. */
  readonly port?: number;
}

/** The guest's USB serial adapters, by number. 1 and 2 are there when the machine boots. */
export interface Adapters {
  /** The device at the other end of adapter `n`'s cable. */
  console(n: number): FarEnd;
  /** Plugs adapter `n` in; resolves when qemu has it (the guest's udev needs a moment more). */
  plug(n: number, options?: AdapterOptions): Promise<FarEnd>;
  /** Pulls adapter `n` out of its socket; what the device says meanwhile is lost, as it would be. */
  unplug(n: number): Promise<void>;
  /** What the guest's driver has told adapter `n`, oldest first, over all the times that it was plugged in. */
  told(n: number): readonly FtdiEvent[];
}

/** A device behind an adapter. It always reads: one that does not would stop the whole machine. */
export interface FarEnd {
  /** Says text at once, as bytes of latin1. */
  say(text: string): void;
  /** Says numbered lines with a checksum, evenly, until `stop`; `said` counts them. */
  talk(linesPerSecond: number): Talk;
  /** Everything that the guest has sent, in order. */
  heard(): readonly Heard[];
  /** The same as one text. */
  heardText(): string;
}

export interface Talk {
  readonly said: number;
  /** Ends it and gives the number of lines that were said. */
  stop(): number;
}

export interface Heard {
  /** Milliseconds of this machine's monotonic clock (`performance.now`). */
  readonly atMs: number;
  readonly bytes: Buffer;
}
