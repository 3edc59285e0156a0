import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type AdapterOptions, createAdapters, type UsbSockets } from "./adapters.ts";
import { type Answer, type Control, controlAt, type Request } from "./control.ts";
import { readGpioTrace, TRACE_ARGS, TRACE_SCRIPT } from "./gpio-trace.ts";
import type { Guest, Outcome, Pin, RunOptions, StartOptions } from "./guest.ts";
import { tool } from "./image/tool.ts";
import { type Qemu, startQemu } from "./qemu.ts";
import { openUplink, type WiredUplink } from "./uplink.ts";

/** What differs between the machines. */
export interface Hardware {
  readonly kind: "vm" | "pi";
  readonly program: string;
  /** The folder of the built image. */
  readonly image: string;
  readonly usb: UsbSockets;
  /** The label of the gpiochip on the header. */
  readonly chip: string;
  readonly bootLimitMs: number;
  args(wiring: Wiring): readonly string[];
  pins(guest: Pick<Guest, "expect">, qemu: Qemu): Promise<readonly Pin[]>;
}

/** What a machine is wired to in one run. */
export interface Wiring {
  /** The image's folder. */
  readonly image: string;
  /** The disk of this run. */
  readonly disk: string;
  readonly console: string;
  /** The kernel's command line beyond what the machine itself needs. */
  readonly kernelArgs: readonly string[];
  /** qemu's `-netdev` texts; their ids are `nctl`, `nprimary`, `nlte`. */
  readonly networks: readonly string[];
}

const QUIET_ARGS = ["loglevel=4", "panic=-1", "systemd.getty_auto=no", "systemd.show_status=no"];

class Machine {
  readonly hardware: Hardware;
  readonly folder: string;
  readonly qemu: Qemu;
  readonly control: Control;
  bootMs = 0;
  #bootId = "";

  constructor(hardware: Hardware, folder: string, qemu: Qemu, controlPort: number) {
    this.hardware = hardware;
    this.folder = folder;
    this.qemu = qemu;
    this.control = controlAt(controlPort);
  }

  log(): string {
    const file = join(this.folder, "console.log");
    return existsSync(file) ? readFileSync(file, "latin1") : "";
  }

  async request(request: Request, timeoutMs: number): Promise<Answer> {
    const ended = this.qemu.ended();
    if (ended !== null) throw new Error(ended);
    return await this.control.request(request, timeoutMs);
  }

  async run(script: string, { timeoutMs = 60_000 }: RunOptions = {}): Promise<Outcome> {
    const seconds = Math.ceil(timeoutMs / 1000);
    const begun = performance.now();
    const request: Request = { verb: "run", body: Buffer.from(script), argument: `${seconds}` };
    const { code, bytes } = await this.request(request, timeoutMs + 20_000);
    const out = bytes.toString("utf8");
    if (code !== 124 || performance.now() - begun < timeoutMs) return { code, out };
    throw new Error(`not done in ${seconds} s: ${script.slice(0, 300)}\n${out.slice(-2000)}`);
  }

  async expect(script: string, options?: RunOptions): Promise<string> {
    const { code, out } = await this.run(script, options);
    if (code === 0) return out.replace(/\n$/, "");
    throw new Error(`exit ${code} of: ${script.slice(0, 300)}\n${out.slice(-4000)}`);
  }

  async eventually(script: string, { timeoutMs = 60_000 }: RunOptions = {}): Promise<string> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const { code, out } = await this.run(script, { timeoutMs });
      if (code === 0) return out.replace(/\n$/, "");
      if (performance.now() > end)
        throw new Error(`still exit ${code} after ${timeoutMs} ms: ${script.slice(0, 300)}\n${out.slice(-4000)}`);
      await sleep(250);
    }
  }

  /** Writes bytes to a file of the guest; read back by its length, because a cut connection leaves half a file. */
  async write(path: string, body: Buffer, mode: number): Promise<void> {
    if (/\s/.test(path)) throw new Error(`a guest path holds no spaces: ${path}`);
    const request: Request = { verb: "put", body, argument: mode.toString(8), path };
    const { code, bytes } = await this.request(request, 300_000);
    if (code !== 0) throw new Error(`${path} could not be written in the guest: ${bytes.toString("utf8")}`);
    const size = await this.expect(`stat -c %s ${path}`);
    if (Number(size) !== body.length) throw new Error(`${path} has ${size} of ${body.length} bytes in the guest`);
  }

  async get(path: string): Promise<Buffer> {
    const { code, bytes } = await this.request({ verb: "get", path }, 300_000);
    if (code !== 0) throw new Error(`${path} could not be read in the guest: ${bytes.toString("utf8").slice(0, 300)}`);
    return bytes;
  }

  /** Waits for a shell of another boot than the last one. */
  async untilUp(begun: number): Promise<void> {
    const end = begun + this.hardware.bootLimitMs;
    while (performance.now() < end) {
      try {
        const request: Request = {
          verb: "run",
          body: Buffer.from("cat /proc/sys/kernel/random/boot_id"),
          argument: "5",
        };
        const { code, bytes } = await this.request(request, 5000);
        const id = bytes.toString("utf8");
        if (code === 0 && id !== this.#bootId) {
          this.#bootId = id;
          this.bootMs = Math.round(performance.now() - begun);
          return;
        }
      } catch (problem) {
        const ended = this.qemu.ended();
        if (ended !== null) throw new Error(ended, { cause: problem });
      }
      await sleep(200);
    }
    throw new Error(
      `no shell in ${this.hardware.bootLimitMs} ms; the kernel's last words:\n${this.log().slice(-3000)}`,
    );
  }

  async reboot(): Promise<void> {
    const reset = this.qemu.event("RESET", this.hardware.bootLimitMs);
    const [begun] = await Promise.all([
      reset.then(() => performance.now()),
      this.run("(sleep 0.3; systemctl reboot) >/dev/null 2>&1 </dev/null &"),
    ]);
    await this.untilUp(begun);
  }

  async cutPower(): Promise<void> {
    const begun = performance.now();
    await this.qemu.qmp("system_reset");
    await this.untilUp(begun);
  }

  async gpioTrace() {
    return readGpioTrace(await this.expect(TRACE_SCRIPT), this.hardware.chip);
  }
}

interface Ways {
  readonly primary: WiredUplink;
  readonly lte: WiredUplink;
  readonly usbip: WiredUplink;
}

async function openWays(folder: string, monitor: { qemu: Qemu | null }): Promise<Ways> {
  const setLink = (id: string) => async (up: boolean) => void (await monitor.qemu?.qmp("set_link", { name: id, up }));
  const open = (name: keyof Ways, device: string, address: string) =>
    openUplink({ name, interface: device, address, folder, setLink: setLink(name === "usbip" ? "nctl" : `n${name}`) });
  return {
    primary: await open("primary", "eth0", "192.168.50.100:1883"),
    lte: await open("lte", "wwan0", "10.64.0.100:1883"),
    usbip: await open("usbip", "ctl0", "10.9.0.100:3240"),
  };
}

/** Networks that lead nowhere but to the sockets of `ways`: nothing that a guest sends leaves this machine. */
function networksOf(ways: Ways): readonly string[] {
  const to = ({ address, socketPath }: WiredUplink) => `guestfwd=tcp:${address}-cmd:socat - UNIX-CONNECT:${socketPath}`;
  return [
    `user,id=nctl,net=10.9.0.0/24,restrict=on,hostfwd=tcp:127.0.0.1:0-10.9.0.15:7000,${to(ways.usbip)}`,
    `user,id=nprimary,net=192.168.50.0/24,restrict=on,${to(ways.primary)}`,
    `user,id=nlte,net=10.64.0.0/24,restrict=on,${to(ways.lte)}`,
  ];
}

async function forwardedPort(qemu: Qemu): Promise<number> {
  const table = await qemu.monitor("info usernet");
  const port = Number(/TCP\[HOST_FORWARD\]\s+\S+\s+127\.0\.0\.1\s+(\d+)/.exec(table)?.[1]);
  if (!(port > 0)) throw new Error(`qemu forwards no control port:\n${table}`);
  return port;
}

function newDisk(hardware: Hardware, folder: string): string {
  const disk = join(folder, "disk.qcow2");
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", join(hardware.image, "disk.img"), disk]);
  return disk;
}

/** Starts a machine on a fresh disk and waits for its shell. */
export async function startMachine(hardware: Hardware, options: StartOptions = {}): Promise<Guest> {
  const folder = mkdtempSync(join(tmpdir(), `towpath-${hardware.kind}-`));
  const clean = () => options.keep || rmSync(folder, { recursive: true, force: true });
  process.once("exit", clean);
  const monitor: { qemu: Qemu | null } = { qemu: null };
  const ways = await openWays(folder, monitor);
  const stop = async () => {
    await monitor.qemu?.stop();
    for (const way of Object.values(ways)) way.close();
    clean();
    process.off("exit", clean);
  };
  try {
    const begun = performance.now();
    const args = hardware.args({
      image: hardware.image,
      disk: newDisk(hardware, folder),
      console: join(folder, "console.log"),
      kernelArgs: [...QUIET_ARGS, ...TRACE_ARGS, ...(options.kernelArgs ?? [])],
      networks: networksOf(ways),
    });
    const qemu = await startQemu(hardware.program, args, folder);
    monitor.qemu = qemu;
    const controlPort = await forwardedPort(qemu);
    const adapters = createAdapters(qemu, hardware.usb, folder);
    for (const n of options.adapters ?? [1, 2]) await adapters.plug(n, {} satisfies AdapterOptions);
    const machine = new Machine(hardware, folder, qemu, controlPort);
    await qemu.qmp("cont");
    await machine.untilUp(begun);
    return asGuest(machine, { controlPort, adapters, ways, stop });
  } catch (problem) {
    await stop();
    throw problem;
  }
}

interface Parts {
  readonly controlPort: number;
  readonly adapters: Guest["adapters"];
  readonly ways: Ways;
  stop(): Promise<void>;
}

function asGuest(machine: Machine, { controlPort, adapters, ways, stop }: Parts): Guest {
  return {
    kind: machine.hardware.kind,
    get bootMs() {
      return machine.bootMs;
    },
    ...{ folder: machine.folder, controlPort, adapters, uplinks: ways, usbip: ways.usbip, stop },
    run: (script, options) => machine.run(script, options),
    expect: (script, options) => machine.expect(script, options),
    eventually: (script, options) => machine.eventually(script, options),
    put: (file, path) => machine.write(path, readFileSync(file), statSync(file).mode & 0o777),
    write: (path, text, mode = 0o644) => machine.write(path, Buffer.from(text), mode),
    get: (path) => machine.get(path),
    qmp: (command, args) => machine.qemu.qmp(command, args),
    reboot: () => machine.reboot(),
    cutPower: () => machine.cutPower(),
    gpioTrace: () => machine.gpioTrace(),
    pins: () => machine.hardware.pins(machine, machine.qemu),
    log: () => machine.log(),
  };
}
