import { closeSync, constants, existsSync, openSync, readlinkSync, realpathSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { SerialPort } from "serialport";
import type { Code } from "../core/codes.ts";
import type { LineSettings } from "../core/line.ts";
import { tryLock, unlock } from "../linux/flock.ts";
import {
  flushOutput,
  hasSettings,
  makeRaw,
  mendEmptyReads,
  setBreak,
  setModemLines,
  setTerminal,
  terminalSettings,
} from "../linux/tty.ts";
import { createStatus } from "./line-status.ts";
import type { Port, PortEvents } from "./port.ts";
import { HANG_UP, type Reading, readAvailable, type Sweeper } from "./sweeper.ts";

/** A real terminal: configured through serialport, opened, kept and read by our own path. */
export interface TtyOptions extends LineSettings {
  /** Where the terminal is now, or why it must not be opened. Asked before each try, in haste, and while it is open. */
  readonly locate: (haste?: "haste") => string | { readonly code: Code; readonly detail: string };
  readonly keeper?: Keeper;
}

/** Who keeps the open terminal while the program is away, so that the kernel goes on listening. */
export interface Keeper {
  /** The terminal that was kept, with the settings it had; null when there is none. */
  take(): number | null;
  put(fd: number): void;
  remove(): void;
}

const NO_KEEPER: Keeper = { take: () => null, put: () => undefined, remove: () => undefined };

/** An adapter that returns is to be heard within 100 ms. */
const RETRY_MS = 40;
/** A port that is there and refuses is not knocked at that often... */
const RETRY_REFUSED_MS = 1_000;
/** ...nor told, until it has refused for so long: udev gives a new node to its group a moment after it is there. */
const REFUSED_MS = 1_000;
/** So often it is asked whether an open terminal is still the one that is meant. */
const IDENTITY_MS = 2_000;
/** So often the driver is asked what it counted. */
const STATUS_MS = 1_000;

interface Open {
  readonly path: string;
  readonly fd: number;
  reading: Reading;
  readonly timers: readonly NodeJS.Timeout[];
}

/** `passing`: it may be a matter of a moment. */
type Refusal = { readonly code: Code; readonly detail: string; readonly passing?: boolean };

export function createTtyPort(options: TtyOptions, sweeper: Sweeper): Port {
  const { keeper = NO_KEEPER } = options;
  let events: PortEvents | null = null;
  let open: Open | null = null;
  let timer: NodeJS.Timeout | null = null;
  let told: string | null = null;
  let refusedSinceMs: number | null = null;
  let stopped = false;
  let watched = false;
  let line: LineSettings = { baudRate: options.baudRate, framing: options.framing, flow: options.flow };
  let opening: Promise<void> = Promise.resolve();

  const retry = (ms: number): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      opening = attempt();
    }, ms);
  };

  const fail = ({ code, detail, passing = false }: Refusal): void => {
    refusedSinceMs = passing ? (refusedSinceMs ?? performance.now()) : null;
    if (refusedSinceMs !== null && performance.now() - refusedSinceMs < REFUSED_MS) return retry(RETRY_MS);
    if (told !== `${code} ${detail}`) events?.down(code, detail);
    told = `${code} ${detail}`;
    retry(code === "console.missing" ? RETRY_MS : RETRY_REFUSED_MS);
  };

  const lose = (why: Refusal): void => {
    close();
    keeper.remove();
    fail(why);
  };

  /** A twin that came, or another adapter in the socket: what is read now may be another device's. */
  const checkIdentity = (path: string): void => {
    const now = nodeOf(options.locate());
    if (now !== path) lose(typeof now === "string" ? moved(path, now) : now);
  };

  const serve = (path: string, fd: number): void => {
    told = null;
    refusedSinceMs = null;
    const read = (): Reading => {
      const reading = sweeper.add(fd, {
        data: (bytes) => events?.data(bytes),
        full: () => events?.lost?.(),
        hungUp,
      });
      reading.watch(watched);
      return reading;
    };
    const hungUp = (detail: string): void => {
      if (detail === HANG_UP && open?.fd === fd && mendEmptyReads(fd)) open.reading = read();
      else lose({ code: "console.missing", detail });
    };
    const status = createStatus(fd, (line) => events?.line?.(line));
    const timers = [setInterval(checkIdentity, IDENTITY_MS, path), setInterval(status, STATUS_MS)];
    open = { path, fd, reading: read(), timers };
    events?.up();
    status();
  };

  /** What the kernel kept for us. How many bytes, or why it cannot be read. */
  const takeHeld = (fd: number): { held: number; fault: string | null } => {
    let held = 0;
    const fault = readAvailable(fd, Buffer.alloc(8_192), 64, {
      data(bytes) {
        held += bytes.length;
        events?.data(bytes);
      },
      full: () => events?.lost?.(),
    });
    return { held, fault };
  };

  const attempt = async (): Promise<void> => {
    const path = nodeOf(options.locate("haste"));
    if (typeof path !== "string") return fail(path);
    const kept = takeKept(path, keeper);
    const fd = kept ?? openRaw(path);
    if (typeof fd !== "number") return fail(fd);
    events?.listening?.(kept !== null);
    const { held, fault } = takeHeld(fd);
    // A number keeps its settings until the next boot: where they fit, nothing is set and nothing flushed.
    const ready = fault === null && hasSettings(fd, line);
    const refused =
      fault !== null ? { code: "console.missing" as const, detail: fault } : ready ? null : await configure(path, line);
    if (refused !== null || stopped) {
      letGo(fd);
      keeper.remove();
      return refused === null || stopped ? undefined : fail(refused);
    }
    // serialport flushes what came since it was emptied. Where nothing was read, what a fresh opening declared says that.
    if (!ready && (held > 0 || kept !== null)) events?.lost?.();
    // What a pseudo terminal kept may be from before it was closed: then what is missing came after it.
    else if (kept === null && held > 0) events?.listening?.(false);
    if (kept === null) keeper.put(fd);
    serve(path, fd);
  };

  const close = (): void => {
    const was = open;
    open = null;
    if (was === null) return;
    for (const one of was.timers) clearInterval(one);
    was.reading.remove();
    letGo(was.fd);
  };

  return {
    start(listener) {
      events = listener;
      opening = attempt();
    },
    write(bytes) {
      if (open === null) return 0;
      try {
        return writeSync(open.fd, bytes);
      } catch {
        // Full, as after an XOFF or without CTS, or gone: the next read tells which.
        return 0;
      }
    },
    watch(on) {
      watched = on;
      open?.reading.watch(on);
    },
    async sendBreak(ms) {
      if (open === null) return false;
      const { fd } = open;
      try {
        setBreak(fd, true);
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (open?.fd === fd) setBreak(fd, false);
        return true;
      } catch {
        return false;
      }
    },
    holdBreak: (on) => tried(open?.fd, (fd) => setBreak(fd, on)),
    settings: () => line,
    setLine(wanted) {
      return tried(open?.fd, (fd) => {
        setTerminal(fd, wanted);
        line = terminalSettings(fd) ?? wanted;
      });
    },
    setModem: (lines) => tried(open?.fd, (fd) => setModemLines(fd, lines)),
    dropOutput: () => void tried(open?.fd, flushOutput),
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await opening;
      close();
    },
  };
}

/** False where the port is not open, or the adapter knows no such thing. */
function tried(fd: number | undefined, act: (fd: number) => void): boolean {
  if (fd === undefined) return false;
  try {
    act(fd);
    return true;
  } catch {
    return false;
  }
}

/** The lock is of the open terminal, which may live on in a keeper: while we are away others may have the port. */
function letGo(fd: number): void {
  unlock(fd);
  closeSync(fd);
}

/** By-id links and the like lead to the node whose terminal it is. */
function nodeOf(located: string | Refusal): string | Refusal {
  if (typeof located !== "string") return located;
  try {
    return realpathSync(located);
  } catch {
    return located;
  }
}

/** Only the terminal that is meant, and only while nobody else has locked it; raw again, whoever had it meanwhile. */
function takeKept(path: string, keeper: Keeper): number | null {
  const fd = keeper.take();
  if (fd === null) return null;
  const ours = pathOf(fd) === path;
  // A lock is told with the process that took it: given back and taken anew it is told with us, not with who died.
  if (ours) unlock(fd);
  if (ours && tryLock(fd) && rawRefusal(fd, path) === null) {
    endBreak(fd);
    return fd;
  }
  letGo(fd);
  keeper.remove();
  return null;
}

/** One that a program began and did not live to end would hold the line for ever. */
function endBreak(fd: number): void {
  try {
    setBreak(fd, false);
  } catch {
    // A pseudo terminal, or an adapter that knows no BREAK: none is on.
  }
}

function pathOf(fd: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

/** Opened, ours alone and without echo, with nothing between open and raw mode that could wait. */
function openRaw(path: string): number | Refusal {
  if (!existsSync(path)) return { code: "console.missing", detail: `${path} is not there` };
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  } catch (error) {
    return openRefusal(path, (error as NodeJS.ErrnoException).code ?? "");
  }
  // Before raw mode and the first read: another program's settings and bytes are not ours.
  const refused = !isatty(fd)
    ? ({ code: "console.error", detail: `${path} is not a terminal` } as const)
    : tryLock(fd)
      ? rawRefusal(fd, path)
      : ({ code: "console.busy", detail: `${path} is locked by another program` } as const);
  if (refused === null) return fd;
  closeSync(fd);
  return refused;
}

function rawRefusal(fd: number, path: string): Refusal | null {
  try {
    makeRaw(fd);
    return null;
  } catch (error) {
    return { code: "console.missing", detail: `${path}: ${String(error)}` };
  }
}

function openRefusal(path: string, code: string): Refusal {
  if (code === "EACCES")
    return { code: "console.error", detail: `${path}: no permission (the group is usually dialout)`, passing: true };
  if (code === "EPERM")
    return { code: "console.error", detail: `${path}: the service may not open it (DeviceAllow= in its unit)` };
  if (code === "EBUSY") return { code: "console.busy", detail: `${path} is held exclusively` };
  if (code === "EMFILE" || code === "ENFILE")
    return { code: "console.missing", detail: `${path}: too many open files (LimitNOFILE= in the unit)` };
  return { code: "console.missing", detail: `${path}: ${code}` };
}

function moved(from: string, to: string): Refusal {
  return { code: "console.missing", detail: `the adapter moved from ${from} to ${to}` };
}

/** Speed and framing stay with the terminal: serialport's own descriptor is not needed afterwards. */
async function configure(path: string, { baudRate, framing, flow }: LineSettings): Promise<Refusal | null> {
  try {
    const binding = await SerialPort.binding.open({
      path,
      baudRate,
      ...framing,
      rtscts: flow === "rtscts",
      xon: flow === "xonxoff",
      xoff: flow === "xonxoff",
      // Closing must not drop DTR: some devices reset by it.
      hupcl: false,
      // The lock is ours already, on our own descriptor.
      lock: false,
    });
    await binding.close();
    return null;
  } catch (error) {
    const detail = String(error).replace(/^Error: /, "");
    return { code: /lock|busy/i.test(detail) ? "console.busy" : "console.error", detail: `${path}: ${detail}` };
  }
}
