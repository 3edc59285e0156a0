import { execFile } from "node:child_process";
import type { ModemReport } from "../core/modem.ts";
import { absent, attempt, type Modem, type ModemOptions, type ModemStep, refused, type StepAnswer } from "./modem.ts";

/** A modem by asking `mmcli -J` again and again: where the bus cannot be spoken to directly. No push, a process each time. */
export interface MmcliOptions extends ModemOptions {
  readonly everyMs?: number;
  /** Arguments before all others. */
  readonly before?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const EVERY_MS = 30_000;
const PROGRAM_TIMEOUT_MS = 120_000;
const OUTPUT_LIMIT = 1024 * 1024;

type Json = Readonly<Record<string, unknown>>;

interface Found {
  readonly path: string;
  readonly modem: Json;
}

export function createMmcli(options: MmcliOptions): Modem {
  const { told, profiles } = options;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let profile = 0;
  let device: string | null = null;
  let measured: string | null = null;

  const run = (program: string, args: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const settings = { timeout: PROGRAM_TIMEOUT_MS, maxBuffer: OUTPUT_LIMIT, env: options.env ?? process.env };
      execFile(program, [...args], settings, (error, out, said) => {
        if (error === null) return resolve(out);
        reject(new Error(said.trim().replace(/^error: /, "") || error.message));
      });
    });
  const mmcli = (...args: string[]): Promise<string> => run("mmcli", [...(options.before ?? []), ...args]);
  const json = async (...args: string[]): Promise<Json> => JSON.parse(await mmcli("-J", ...args)) as Json;

  const find = async (): Promise<Found | { why: string }> => {
    const listed = texts((await json("-L"))["modem-list"]);
    const all: Found[] = [];
    for (const path of listed) all.push({ path, modem: part(await json("-m", path), "modem") });
    return pick(all, options.modem, options.interface);
  };

  const look = async (): Promise<ModemReport> => {
    const found = await find();
    if ("why" in found) return absent("mmcli", "missing", found.why);
    const { path, modem } = found;
    const generic = part(modem, "generic");
    device = text(generic.device) ?? device;
    const sim = text(generic.sim);
    const known = sim === null ? {} : await json("-i", sim).catch(() => ({}));
    return reportOf(modem, part(part(known, "sim"), "properties"), await signal(path, String(generic.state)));
  };

  const signal = async (path: string, state: string): Promise<Json> => {
    if (!["enabled", "searching", "registered", "connecting", "connected"].includes(state)) measured = null;
    else if (measured !== path) {
      measured = path;
      await mmcli("-m", path, `--signal-setup=${Math.ceil((options.everyMs ?? EVERY_MS) / 1000)}`).catch(() => {
        measured = null;
      });
    }
    if (measured === null) return {};
    const told = await json("-m", path, "--signal-get").catch(() => ({}));
    return part(part(told, "modem"), "signal");
  };

  const turn = async (): Promise<void> => {
    const report = await look().catch((error: Error) => absent("mmcli", "unmanaged", error.message));
    if (stopped) return;
    told(report);
    timer = setTimeout(() => void turn(), options.everyMs ?? EVERY_MS);
  };

  const connect = (): Promise<string> => {
    const name = profiles[profile];
    const args = name === undefined ? ["device", "connect", options.interface] : ["connection", "up", "id", name];
    return run("nmcli", args).then(() => args.join(" "));
  };

  const airplane = async (path: string): Promise<string> => {
    await mmcli("-m", path, "-d");
    try {
      const off = await mmcli("-m", path, "--set-power-state-low").then(
        () => true,
        () => false,
      );
      if (off) await mmcli("-m", path, "--set-power-state-on");
      return off ? "the radio was off and is on again" : "disabled and enabled: its radio stays on";
    } finally {
      await mmcli("-m", path, "-e");
    }
  };

  const otherProfile = ({ path, modem }: Found): Promise<string> => {
    if (profiles.length > 1) {
      profile = (profile + 1) % profiles.length;
      return connect();
    }
    const { slot } = reportOf(modem, {}, {});
    if (slot === null) return Promise.reject(new Error("there is one SIM slot and one profile"));
    const other = (slot.active % slot.count) + 1;
    return mmcli("-m", path, `--set-primary-sim-slot=${other}`).then(() => `SIM slot ${other}`);
  };

  const take = async (step: ModemStep): Promise<StepAnswer> => {
    if (step === "reboot") return attempt(() => options.privileged.reboot().then(() => "the Pi restarts"));
    if (step === "usb") {
      const at = device;
      if (at === null || !at.includes("/usb")) return refused(`not known as a USB device: ${at ?? "never seen"}`);
      return attempt(() => options.privileged.reauthoriseUsb(at).then(() => at));
    }
    const found = await find().catch((error: Error) => ({ why: error.message }));
    if ("why" in found) return refused(found.why);
    if (step === "reconnect") return attempt(connect);
    if (step === "airplane") return attempt(() => airplane(found.path));
    if (step === "reset") return attempt(() => mmcli("-m", found.path, "-r").then(() => "reset"));
    return attempt(() => otherProfile(found));
  };

  return {
    start: () => void turn(),
    take,
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}

function pick(all: readonly Found[], wanted: string, netInterface: string): Found | { why: string } {
  const imei = ({ modem }: Found) => text(part(modem, "generic")["equipment-identifier"]);
  if (all.length === 0) return { why: "ModemManager has found no modem" };
  if (wanted !== "auto") {
    const others = all.map((one) => imei(one) ?? "one without IMEI").join(", ");
    return all.find((one) => imei(one) === wanted) ?? { why: `no modem has IMEI ${wanted}; there is ${others}` };
  }
  const withPort = all.find(({ modem }) =>
    texts(part(modem, "generic").ports).some((port) => port.startsWith(`${netInterface} `)),
  );
  const [only] = all;
  if (withPort !== undefined) return withPort;
  return only !== undefined && all.length === 1
    ? only
    : { why: `${all.length} modems and none has ${netInterface}: name one by its IMEI` };
}

function reportOf(modem: Json, sim: Json, signal: Json): ModemReport {
  const generic = part(modem, "generic");
  const network = part(modem, "3gpp");
  const lock = text(generic["unlock-required"]);
  const slots = texts(generic["sim-slots"]).length;
  const radio = ["5g", "lte", "umts", "gsm"]
    .map((name) => part(signal, name))
    .find((one) => level(one.rssi ?? one.rsrp) !== null || level(one.rsrp) !== null);
  return {
    driver: "mmcli",
    presence: "present",
    state: text(generic.state),
    reason: text(generic["state-failed-reason"]),
    lock: lock?.startsWith("sim-p") ? lock : null,
    imei: text(generic["equipment-identifier"]),
    model: text([generic.manufacturer, generic.model].flatMap((one) => text(one) ?? []).join(" ")),
    revision: text(generic.revision),
    registration: text(network["registration-state"]),
    operator: text(network["operator-name"]) ?? text(network["operator-code"]),
    technology: texts(generic["access-technologies"]),
    iccid: text(sim.iccid),
    slot: slots > 1 ? { active: Number(text(generic["primary-sim-slot"]) ?? 0), count: slots } : null,
    signal:
      radio === undefined
        ? null
        : { rssi: level(radio.rssi), rsrp: level(radio.rsrp), rsrq: level(radio.rsrq), snr: level(radio.snr) },
  };
}

function part(value: Json, name: string): Json {
  const found = value[name];
  return typeof found === "object" && found !== null ? (found as Json) : {};
}

/** mmcli writes `--` for what is not there. */
function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" && value !== "--" ? value : null;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.flatMap((one) => text(one) ?? []) : [];
}

function level(value: unknown): number | null {
  const found = text(value);
  return found === null || !Number.isFinite(Number(found)) ? null : Number(found);
}
