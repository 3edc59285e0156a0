import type { FdStore } from "../linux/fd-store.ts";
import type { Chip, GpioKernel, LineConfig } from "../linux/gpio.ts";
import type { Lines } from "./bank.ts";

/**
 * Relay lines on the kernel's gpiochips. A line is taken over as it runs: kept by systemd's store, or asked for as it
 * is and then driven to the level that it has. Nothing here gives a line another level but `write`.
 */

export interface RelayLine {
  readonly relay: number;
  /** Its owner's name as `gpioinfo` shows it. */
  readonly outlet: string;
  readonly chip: string;
  /** `GPIO17`, or `#3` by offset. */
  readonly line: string;
  /** The level of a line that nobody drove: the one at which the relay stays as it is. */
  readonly coldHigh: boolean;
}

/** Where a line's level came from at this start. */
export type LineSource = "stored" | "adopted" | "cold";

export interface GpioLines extends Lines {
  /** Of each line that could be taken over so far. */
  readonly sources: ReadonlyMap<number, LineSource>;
  /** Why a line could not be; what to do about it is part of it. */
  readonly faults: ReadonlyMap<number, string>;
  close(): void;
}

export interface GpioDeps {
  readonly kernel: GpioKernel;
  readonly store: FdStore;
}

/** Names in the store; a colon would end one. */
const LINE_PREFIX = "line.";

export function storeName({ chip, line }: { readonly chip: string; readonly line: string }): string {
  return `${LINE_PREFIX}${chip}.${line}`.replace(/:/g, "_");
}

export function openGpioLines(wanted: readonly RelayLine[], deps: GpioDeps): GpioLines {
  const held = new Map<number, number>();
  const sources = new Map<number, LineSource>();
  const faults = new Map<number, string>();
  const byRelay = new Map(wanted.map((one) => [one.relay, one]));

  const takeOver = (one: RelayLine): number | null => {
    try {
      const { fd, source } = open(one, deps);
      held.set(one.relay, fd);
      sources.set(one.relay, source);
      faults.delete(one.relay);
      return fd;
    } catch (error) {
      faults.set(one.relay, error instanceof Error ? error.message : String(error));
      return null;
    }
  };

  /** A line that was not to be had is asked for again each time that someone needs it. */
  const fdOf = (relay: number): number => {
    const one = byRelay.get(relay);
    if (one === undefined) throw new Error(`no relay ${relay} was configured`);
    const fd = held.get(relay) ?? takeOver(one);
    if (fd === null) throw new Error(faults.get(relay));
    return fd;
  };

  /** A chip that went away and came back is another one: its lines are asked for once more. */
  const use = <T>(relay: number, what: (fd: number) => T): T => {
    const fd = fdOf(relay);
    try {
      return what(fd);
    } catch (error) {
      const one = byRelay.get(relay);
      if (errorCode(error) !== "ENODEV" || one === undefined) throw error;
      held.delete(relay);
      deps.kernel.release(fd);
      deps.store.remove(storeName(one));
      return what(fdOf(relay));
    }
  };

  for (const one of wanted) takeOver(one);
  return {
    count: Math.max(0, ...wanted.map((one) => one.relay)),
    sources,
    faults,
    read: (relay) => use(relay, deps.kernel.read),
    write: (relay, high) => use(relay, (fd) => deps.kernel.write(fd, high)),
    close() {
      for (const fd of held.values()) deps.kernel.release(fd);
      held.clear();
    },
  };
}

function open(one: RelayLine, { kernel, store }: GpioDeps): { fd: number; source: LineSource } {
  const name = storeName(one);
  const kept = store.take(name);
  if (kept !== null) {
    if (drives(kernel, kept)) return { fd: kept, source: "stored" };
    // Its chip went away meanwhile: what is kept leads nowhere.
    kernel.release(kept);
    store.remove(name);
  }
  const { chip, offset } = findLine(one, kernel);
  const fd = request(one, chip, offset, kernel);
  try {
    // What the kernel said before the request may be old: only now is it true.
    const running = kernel.lines(chip)[offset]?.output === true;
    const high = running ? kernel.read(fd) : one.coldHigh;
    kernel.configure(fd, { kind: "output", high });
    store.put(name, fd);
    return { fd, source: running ? "adopted" : "cold" };
  } catch (error) {
    kernel.release(fd);
    throw error;
  }
}

function drives(kernel: GpioKernel, fd: number): boolean {
  try {
    kernel.read(fd);
    return true;
  } catch {
    return false;
  }
}

const AS_IS: LineConfig = { kind: "as-is" };

function request(one: RelayLine, chip: Chip, offset: number, kernel: GpioKernel): number {
  try {
    return kernel.request(chip, offset, `towpath:${one.outlet}`, AS_IS);
  } catch (error) {
    throw new Error(requestText(error, one.line, chip, offset, kernel));
  }
}

/** What went wrong with a request, and what a person does about it. */
export function requestText(error: unknown, line: string, chip: Chip, offset: number, kernel: GpioKernel): string {
  const code = errorCode(error);
  const place = `${line} of ${chip.label}`;
  if (code === "EBUSY") {
    const holder = kernel.lines(chip)[offset]?.consumer || "the kernel";
    if (holder.startsWith("towpath:"))
      return `${place} is kept for the controller ("${holder}"): it runs, or systemd keeps its lines until \`systemctl clean --what=fdstore towpath\`, which may move the relay`;
    return `${place} is held by "${holder}"; stop that program, or remove the overlay that takes the line`;
  }
  if (code === "EACCES" || code === "EPERM")
    return `no permission for ${chip.path}; add the user to the group gpio: usermod -aG gpio USER`;
  return `${place}: ${code}`;
}

function errorCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "string" ? code : String(error);
}

/** Chips by label and lines by name: numbers move between kernels. */
export function findLine(
  { chip: label, line }: { readonly chip: string; readonly line: string },
  kernel: GpioKernel,
): { chip: Chip; offset: number } {
  const chips = chipsOf(kernel);
  const fitting = chips.filter((chip) => chip.label === label);
  const [chip] = fitting;
  if (chip === undefined) {
    const has = chips.map((one) => one.label).join(", ") || "none";
    throw new Error(
      `there is no gpiochip "${label}" (this machine has: ${has}); use the board of this machine, or load the overlay of the relay board in config.txt`,
    );
  }
  if (fitting.length > 1)
    throw new Error(`${fitting.length} gpiochips are called "${label}"; remove the other overlay`);
  const offset = offsetOf(chip, line, kernel);
  if (offset === null) throw new Error(`${label} has no line "${line}"; \`gpioinfo\` lists what it has`);
  return { chip, offset };
}

function chipsOf(kernel: GpioKernel): Chip[] {
  try {
    return kernel.chips();
  } catch (error) {
    throw new Error(
      `the gpiochips cannot be opened (${errorCode(error)}); add the user to the group gpio: usermod -aG gpio USER`,
    );
  }
}

function offsetOf(chip: Chip, line: string, kernel: GpioKernel): number | null {
  if (line.startsWith("#")) {
    const offset = Number(line.slice(1));
    return offset < chip.lines ? offset : null;
  }
  const named = kernel.lines(chip).find((one) => one.name === line);
  return named?.offset ?? headerOffset(chip, line);
}

/**
 * On a Pi's own chip GPIOn is the line with the offset n (BCM283x, BCM2711, RP1). Some device trees name a line after
 * its other use instead, such as GPIO_GCLK for GPIO4.
 */
function headerOffset(chip: Chip, line: string): number | null {
  const number = /^GPIO(\d+)$/.exec(line)?.[1];
  return number !== undefined && chip.label.startsWith("pinctrl-") && Number(number) < chip.lines
    ? Number(number)
    : null;
}
