import type { Adapters } from "./adapters.ts";
import type { GpioEvent } from "./gpio-trace.ts";
import type { Uplink } from "./uplink.ts";

/** What a machine does for a scenario. Two implementations: `startVm` (x86-64, simulated GPIO) and `startPi` (raspi3b). */
export interface Guest {
  readonly kind: "vm" | "pi";
  /** From starting qemu to the first answer of the control shell; of the last boot. */
  readonly bootMs: number;
  /** Where the sockets, packet captures and the kernel's console of this run are. */
  readonly folder: string;
  /** The loopback port of the guest's control shell, and of the way in for a scripted USB device. */
  readonly controlPort: number;
  /** The USB serial adapters and what is behind them. */
  readonly adapters: Adapters;
  /** The ways out, each of which reaches one loopback port of this machine. */
  readonly uplinks: { readonly primary: Uplink; readonly lte: Uplink };
  /** A third address, on the control network: `10.9.0.100:3240`, for USB/IP devices. */
  readonly usbip: Uplink;

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

  /** `systemctl reboot`: disk, adapters and cables stay as they are, what was removed by `qmp` is there again; resolves when the shell answers again. */
  reboot(): Promise<void>;
  /** The mains gone for a moment (the pins too): what was not synced is lost; resolves when the shell answers again. */
  cutPower(): Promise<void>;

  /**
   * Every call that set a line or its direction, or let go of it, since the last call (or since this boot), in order.
   * It throws rather than give less than all.
   */
  gpioTrace(): Promise<readonly GpioEvent[]>;
  /** The pins as they are now: on the Pi from the SoC's registers, without the guest's help. */
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

/** One pin as a meter on it would show. */
export interface Pin {
  readonly line: number;
  readonly level: 0 | 1;
  /** `other` are the alternate functions (UART, I²C, …), which only the Pi has. */
  readonly mode: "input" | "output" | "other";
}

/** How a machine is started. */
export interface StartOptions {
  /** Words for the kernel's command line, for all boots of this machine: `pinctrl_bcm2835.persist_gpio_outputs=0`. */
  readonly kernelArgs?: readonly string[];
  /**
   * Files that lie on the disk before power comes: guest path to a file of this machine. The way for a package: the
   * Pi's emulated network takes `put` at some 70 kB a second.
   */
  readonly files?: Readonly<Record<string, string>>;
  /** Adapters that are plugged in before power comes. Default 1 and 2. */
  readonly adapters?: readonly number[];
  /** Leaves the folder and its disk behind when the machine ends. */
  readonly keep?: boolean;
}

/** One thing that a person would want to be true, tried on a running machine. */
export interface Scenario {
  /** A sentence about what would be seen. */
  readonly name: string;
  /** On which machine it makes sense. Default: both. */
  readonly on?: "vm" | "pi";
  run(guest: Guest): Promise<void>;
}
