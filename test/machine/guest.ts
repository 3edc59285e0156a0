import type { Adapters } from "./adapters.ts";
import type { Uplink } from "./uplink.ts";

/** What a machine does for a scenario. Two implementations: `startVm` (x86-64, simulated GPIO) and `startPi` (raspi3b). */
export interface Guest {
  readonly kind: "vm" | "pi";
  /** From starting qemu to the first answer of the control shell. */
  readonly bootMs: number;
  /** Where sockets, packet captures and the kernel's console of this run are. */
  readonly folder: string;
  /** The USB serial adapters and what is behind them. */
  readonly adapters: Adapters;
  /** The ways out, each of which reaches one loopback port of this machine. */
  readonly uplinks: { readonly primary: Uplink; readonly lte: Uplink };

  /** Runs bash in the guest, as root, without a terminal; `out` is both outputs as they came. */
  run(script: string, options?: RunOptions): Promise<Outcome>;
  /** The same for what must succeed: gives the output without its last newline, throws with it otherwise. */
  expect(script: string, options?: RunOptions): Promise<string>;
  /** Tries the script until it succeeds; throws with the last output when `timeoutMs` are over. */
  eventually(script: string, options?: RunOptions): Promise<string>;
  /** Copies a file of this machine into the guest, making its folder; mode as here. */
  put(localFile: string, guestPath: string): Promise<void>;
  /** Writes a text file into the guest, making its folder. */
  write(guestPath: string, text: string, mode?: number): Promise<void>;
  get(guestPath: string): Promise<Buffer>;
  qmp(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;

  /** `systemctl reboot`: the disk stays, the power of the USB adapters too; resolves when the shell answers again. */
  reboot(): Promise<void>;
  /** The mains gone for a moment: nothing is written any more; resolves when the shell answers again. */
  cutPower(): Promise<void>;

  /** Every GPIO call that the guest's kernel has carried out since the last call (or since boot), in order. */
  gpioTrace(): Promise<readonly GpioEvent[]>;
  /** The pins as they are now, seen from outside the operating system. */
  pins(): Promise<readonly Pin[]>;

  /** The kernel's console since the start. */
  log(): string;
  /** Ends the machine and forgets its disk. */
  stop(): Promise<void>;
}

export interface RunOptions {
  /** Default 60 s. When it is over the script is killed and the call throws. */
  readonly timeoutMs?: number;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
}

/** One call into gpiolib, from the kernel's own tracepoints: nothing that moves a line goes past them. */
export interface GpioEvent {
  /** CLOCK_MONOTONIC of the guest. */
  readonly atMs: number;
  /** The offset on the Pi's chip: the BCM number. */
  readonly line: number;
  /** What called: a command's name and its process, as the tracer saw it (`node-812`). */
  readonly task: string;
  readonly kind: "value" | "direction";
  /** value: the level that was set. direction: 1 = input, 0 = output. */
  readonly value: number;
}

/** One pin from outside. On the Pi from the SoC's registers, on the vm from the simulated chip. */
export interface Pin {
  readonly line: number;
  readonly level: 0 | 1;
  /** `other` are the alternate functions (UART, I2C, …), which only the Pi has. */
  readonly mode: "input" | "output" | "other";
}

/** One thing that a person would want to be true, tried on a running machine. */
export interface Scenario {
  /** A sentence about what would be seen. */
  readonly name: string;
  /** On which machine it makes sense. Default: both. */
  readonly on?: "vm" | "pi";
  run(guest: Guest): Promise<void>;
}
