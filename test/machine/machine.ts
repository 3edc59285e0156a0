import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createAdapters, type PluggedAdapters, type UsbSockets } from "./adapters.ts";
import { newDisk } from "./disk.ts";
import { type GpioEvent, readGpioTrace, TRACE_ARGS, TRACE_SCRIPT } from "./gpio-trace.ts";
import type { Guest, Pin, StartOptions } from "./guest.ts";
import { type Qemu, startQemu } from "./qemu.ts";
import { Shell } from "./shell.ts";
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

/** A machine over all its boots. Each boot is a qemu of its own: one that is reset emulates three times slower. */
class Machine {
  readonly hardware: Hardware;
  readonly folder: string;
  readonly shell = new Shell();
  readonly ways: Ways;
  readonly adapters: PluggedAdapters;
  bootMs = 0;
  readonly #kernelArgs: readonly string[];
  readonly #disk: string;
  #qemu: Qemu | null = null;
  #bootId = "";
  #log = "";

  constructor(hardware: Hardware, folder: string, ways: Ways, options: StartOptions) {
    this.hardware = hardware;
    this.folder = folder;
    this.ways = ways;
    this.#kernelArgs = [...QUIET_ARGS, ...TRACE_ARGS, ...(options.kernelArgs ?? [])];
    this.#disk = newDisk(hardware.image, folder, options.files ?? {});
    this.adapters = createAdapters(() => this.qemu, hardware.usb, folder);
  }

  get qemu(): Qemu {
    if (this.#qemu === null) throw new Error("the machine is off");
    return this.#qemu;
  }

  get #consoleFile(): string {
    return join(this.folder, "console.log");
  }

  log(): string {
    return this.#log + (existsSync(this.#consoleFile) ? readFileSync(this.#consoleFile, "latin1") : "");
  }

  /** Gives power: a qemu with everything plugged in that was. */
  async start(plug: readonly number[]): Promise<void> {
    const begun = performance.now();
    const { hardware, folder } = this;
    this.#log = this.log();
    const args = hardware.args({
      ...{ image: hardware.image, disk: this.#disk, console: this.#consoleFile, kernelArgs: this.#kernelArgs },
      networks: networksOf(this.ways),
    });
    const qemu = await startQemu(hardware.program, [...args, "-no-reboot"], folder);
    this.#qemu = qemu;
    this.shell.connect(await forwardedPort(qemu), () => qemu.ended());
    await this.adapters.replug();
    for (const n of plug) await this.adapters.plug(n);
    for (const way of Object.values(this.ways)) await way.rewire();
    await qemu.qmp("cont");
    await this.#untilUp(begun);
  }

  /** Takes power: what the guest had not synced is gone. */
  async stop(): Promise<void> {
    await this.#qemu?.stop();
    this.#qemu = null;
  }

  async reboot(): Promise<void> {
    await this.shell.run("(sleep 0.3; systemctl reboot) >/dev/null 2>&1 </dev/null &");
    await this.qemu.untilEnded(this.hardware.bootLimitMs);
    await this.start([]);
  }

  async cutPower(): Promise<void> {
    await this.stop();
    await this.start([]);
  }

  async gpioTrace(): Promise<readonly GpioEvent[]> {
    return readGpioTrace(await this.shell.expect(TRACE_SCRIPT), this.hardware.chip);
  }

  /** Waits for a shell of another boot than the last one. */
  async #untilUp(begun: number): Promise<void> {
    const end = begun + this.hardware.bootLimitMs;
    while (performance.now() < end) {
      const id = await this.shell.bootId().catch(() => null);
      const ended = this.qemu.ended();
      if (ended !== null) throw new Error(`${ended}\n${this.log().slice(-2000)}`);
      if (id !== null && id !== this.#bootId) {
        this.#bootId = id;
        this.bootMs = Math.round(performance.now() - begun);
        return;
      }
      await sleep(200);
    }
    throw new Error(
      `no shell in ${this.hardware.bootLimitMs} ms; the kernel's last words:\n${this.log().slice(-3000)}`,
    );
  }
}

type Ways = Readonly<Record<"primary" | "lte" | "usbip", WiredUplink>>;

async function openWays(folder: string): Promise<Ways> {
  const open = (name: keyof Ways, device: string, address: string) =>
    openUplink({ name, interface: device, address, folder });
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

/** Starts a machine on a fresh disk and waits for its shell. */
export async function startMachine(hardware: Hardware, options: StartOptions = {}): Promise<Guest> {
  const folder = mkdtempSync(join(tmpdir(), `towpath-${hardware.kind}-`));
  const clean = () => options.keep || rmSync(folder, { recursive: true, force: true });
  process.once("exit", clean);
  const ways = await openWays(folder);
  const machine = new Machine(hardware, folder, ways, options);
  const stop = async () => {
    await machine.stop();
    for (const way of Object.values(ways)) way.close();
    clean();
    process.off("exit", clean);
  };
  try {
    for (const [name, way] of Object.entries(ways))
      way.wire((up) => machine.qemu.qmp("set_link", { name: name === "usbip" ? "nctl" : `n${name}`, up }));
    await machine.start(options.adapters ?? [1, 2]);
    return asGuest(machine, stop);
  } catch (problem) {
    await stop();
    throw problem;
  }
}

function asGuest(machine: Machine, stop: () => Promise<void>): Guest {
  const { shell, ways, adapters, folder } = machine;
  return {
    kind: machine.hardware.kind,
    get bootMs() {
      return machine.bootMs;
    },
    get controlPort() {
      return shell.port;
    },
    ...{ folder, adapters, uplinks: ways, usbip: ways.usbip, stop },
    run: (script, options) => shell.run(script, options),
    expect: (script, options) => shell.expect(script, options),
    eventually: (script, options) => shell.eventually(script, options),
    put: (file, path) => shell.write(path, readFileSync(file), statSync(file).mode & 0o777),
    write: (path, text, mode = 0o644) => shell.write(path, Buffer.from(text), mode),
    get: (path) => shell.get(path),
    qmp: (command, args) => machine.qemu.qmp(command, args),
    reboot: () => machine.reboot(),
    cutPower: () => machine.cutPower(),
    gpioTrace: () => machine.gpioTrace(),
    pins: () => machine.hardware.pins(shell, machine.qemu),
    log: () => machine.log(),
  };
}
