import { closeSync, constants, existsSync, openSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { SerialPort } from "serialport";
import type { Code } from "../core/codes.ts";
import { tryLock } from "../linux/flock.ts";
import type { Port, PortEvents } from "./port.ts";
import { readAvailable, type Sweeper } from "./sweeper.ts";

/** A real terminal: opened and configured through serialport, read by our own path. */
export interface TtyOptions {
  /** Where the terminal is now, or why it must not be opened. Asked before each try and while it is open. */
  readonly locate: () => string | { readonly code: Code; readonly detail: string };
  readonly baudRate: number;
  readonly framing: {
    readonly dataBits: 5 | 6 | 7 | 8;
    readonly parity: "none" | "even" | "odd";
    readonly stopBits: 1 | 2;
  };
  readonly flow: "none" | "rtscts" | "xonxoff";
}

type Binding = Awaited<ReturnType<typeof SerialPort.binding.open>>;

const RETRY_MS = 100;
/** A port that is there and refuses is not knocked at ten times a second. */
const RETRY_REFUSED_MS = 1_000;
/** So often it is asked whether an open terminal is still the one that is meant. */
const IDENTITY_MS = 2_000;

export function createTtyPort(options: TtyOptions, sweeper: Sweeper): Port {
  let events: PortEvents | null = null;
  let open: { fd: number; binding: Binding; remove: () => void; identity: NodeJS.Timeout } | null = null;
  let timer: NodeJS.Timeout | null = null;
  let told: string | null = null;
  let stopped = false;
  let opening: Promise<void> = Promise.resolve();

  const retry = (ms: number): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      opening = attempt();
    }, ms);
  };

  const fail = (code: Code, detail: string): void => {
    if (told !== `${code} ${detail}`) events?.down(code, detail);
    told = `${code} ${detail}`;
    retry(code === "console.missing" ? RETRY_MS : RETRY_REFUSED_MS);
  };

  const hungUp = (detail: string): void => {
    void close().then(() => fail("console.missing", detail));
  };

  /** A twin that came, or another adapter in the socket: what is read now may be another device's. */
  const checkIdentity = (path: string): void => {
    const now = options.locate();
    if (now === path) return;
    const { code, detail } = typeof now === "string" ? moved(path, now) : now;
    void close().then(() => fail(code, detail));
  };

  const attempt = async (): Promise<void> => {
    const path = options.locate();
    if (typeof path !== "string") return fail(path.code, path.detail);
    const fd = openQuietly(path);
    if (typeof fd !== "number") return fail(fd.code, fd.detail);
    // Before the first read: what another program waits for must not be taken from it.
    if (!tryLock(fd)) {
      closeSync(fd);
      return fail("console.busy", `${path} is locked by another program`);
    }
    // serialport flushes what the kernel holds when it opens: take it first, a restart must not cost it.
    const fault = readAvailable(fd, Buffer.alloc(4096), 64, (bytes) => events?.data(bytes));
    const binding =
      fault === null ? await configure(path, options) : { code: "console.missing" as const, detail: fault };
    if ("code" in binding || stopped) {
      closeSync(fd);
      if (!("code" in binding)) await binding.close();
      else if (!stopped) fail(binding.code, binding.detail);
      return;
    }
    told = null;
    const remove = sweeper.add(fd, { data: (bytes) => events?.data(bytes), hungUp });
    open = { fd, binding, remove, identity: setInterval(checkIdentity, IDENTITY_MS, path) };
    events?.up();
  };

  const close = async (): Promise<void> => {
    const was = open;
    open = null;
    if (was === null) return;
    clearInterval(was.identity);
    was.remove();
    closeSync(was.fd);
    // After a hang-up the descriptor is dead already and closing says so; there is nothing left to mend.
    await was.binding.close().catch(() => undefined);
  };

  return {
    start(listener) {
      events = listener;
      opening = attempt();
    },
    write(bytes) {
      if (open === null) return false;
      try {
        return writeSync(open.fd, bytes) === bytes.length;
      } catch {
        return false;
      }
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await opening;
      await close();
    },
  };
}

function openQuietly(path: string): number | { code: Code; detail: string } {
  if (!existsSync(path)) return { code: "console.missing", detail: `${path} is not there` };
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (code === "EACCES")
      return { code: "console.error", detail: `${path}: no permission (the group is usually dialout)` };
    if (code === "EBUSY") return { code: "console.busy", detail: `${path} is held exclusively` };
    return { code: "console.missing", detail: `${path}: ${code}` };
  }
  if (isatty(fd)) return fd;
  closeSync(fd);
  return { code: "console.error", detail: `${path} is not a terminal` };
}

function moved(from: string, to: string): { code: Code; detail: string } {
  return { code: "console.missing", detail: `the adapter moved from ${from} to ${to}` };
}

async function configure(path: string, options: TtyOptions): Promise<Binding | { code: Code; detail: string }> {
  const { baudRate, framing, flow } = options;
  try {
    return await SerialPort.binding.open({
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
  } catch (error) {
    const detail = String(error).replace(/^Error: /, "");
    return { code: /lock|busy/i.test(detail) ? "console.busy" : "console.error", detail: `${path}: ${detail}` };
  }
}
