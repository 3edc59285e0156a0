import type { ChildProcess } from "node:child_process";
import type { Scratch } from "./scratch.ts";

/** Terminals that talk at 115200 baud, each in its own rhythm, played by another process. */

export type ToWriter =
  | { type: "open"; ports: number; hold: boolean }
  | { type: "wait-raw" }
  | { type: "talk" }
  | { type: "hush" }
  /** As fast as the terminals take it. */
  | { type: "flood"; bytesPerPort: number };

export type FromWriter =
  | { type: "opened"; paths: string[] }
  | { type: "raw"; ok: boolean }
  | { type: "talking" }
  | { type: "hushed"; sent: number[]; refused: number[] };

export interface Spoken {
  /** By port: bytes that write() took, and bytes that it did not take because nobody read for too long. */
  readonly sent: readonly number[];
  readonly refused: readonly number[];
}

export interface Devices {
  readonly paths: readonly string[];
  /** Until each port has been opened and configured by somebody. */
  opened(): Promise<void>;
  talk(): Promise<void>;
  hush(): Promise<Spoken>;
  /** So many bytes more from each, as fast as they are taken; what was sent so far when the last one was. */
  flood(bytesPerPort: number): Promise<Spoken>;
}

export interface DeviceOptions {
  readonly ports: number;
  /** Keeps the terminals' far ends open and raw by itself. */
  readonly hold: boolean;
}

export async function openDevices(scratch: Scratch, { ports, hold }: DeviceOptions): Promise<Devices> {
  const writer = scratch.fork("./bench/writer.ts");
  const { paths } = await ask(writer, { type: "open", ports, hold }, "opened");
  return {
    paths,
    async opened() {
      const { ok } = await ask(writer, { type: "wait-raw" }, "raw");
      if (!ok) throw new Error("some of the terminals were never opened");
    },
    talk: async () => void (await ask(writer, { type: "talk" }, "talking")),
    hush: () => ask(writer, { type: "hush" }, "hushed"),
    flood: (bytesPerPort) => ask(writer, { type: "flood", bytesPerPort }, "hushed"),
  };
}

function ask<T extends FromWriter["type"]>(
  writer: ChildProcess,
  message: ToWriter,
  wanted: T,
): Promise<Extract<FromWriter, { type: T }>> {
  return new Promise((resolve, reject) => {
    const died = (): void => reject(new Error("the process that plays the devices ended"));
    writer.once("exit", died);
    writer.once("message", (reply: FromWriter) => {
      writer.off("exit", died);
      resolve(reply as Extract<FromWriter, { type: T }>);
      if (reply.type !== wanted) reject(new Error(`${reply.type} instead of ${wanted}`));
    });
    writer.send(message);
  });
}
