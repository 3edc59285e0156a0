import type { Port, PortEvents } from "../console/port.ts";
import type { LineSettings } from "../core/line.ts";
import { answerTo, answerToBreak, bootLog, chatter, PANIC_TEXT } from "./personality.ts";

/**
 * A device without hardware: no power, no output; with power it boots at the pace of its line, asks for a login,
 * answers a few commands, talks to itself, and now and then hangs or panics until somebody cycles it.
 */

export type DeviceFault = "hang" | "panic" | "unplug" | "plug";

export interface SimDeviceOptions {
  readonly name: string;
  readonly baudRate: number;
  readonly random: () => number;
  /** Mean time between the troubles it makes by itself, ms; 0: none. */
  readonly troubleEveryMs: number;
}

export interface SimDevice {
  readonly port: Port;
  setPower(on: boolean): void;
  fault(kind: DeviceFault): void;
}

type Life = "off" | "booting" | "loader" | "login" | "password" | "shell" | "hung" | "panicked";

const TICK_MS = 20;
/** As long as Linux waits for the key after a BREAK. */
const ATTENTION_MS = 5_000;
const CHATTER_MS = [6_000, 25_000] as const;

export function createSimDevice(options: SimDeviceOptions): SimDevice {
  const { name, random } = options;
  const bytesPerTick = Math.max(1, Math.round((options.baudRate / 10) * (TICK_MS / 1_000)));
  let life: Life = "off";
  let events: PortEvents | null = null;
  let plugged = true;
  let output: Buffer[] = [];
  let typed = "";
  let bootedAt = 0;
  let pacing: NodeJS.Timeout | null = null;
  /** Until when the next key is for the kernel: after a BREAK. */
  let attentionMs = 0;
  let line: LineSettings = {
    baudRate: options.baudRate,
    framing: { dataBits: 8, parity: "none", stopBits: 1 },
    flow: "none",
  };
  const timers = new Set<NodeJS.Timeout>();

  const say = (text: string): void => {
    output.push(Buffer.from(text.replaceAll("\n", "\r\n")));
    pacing ??= setInterval(pump, TICK_MS);
  };

  const pump = (): void => {
    const waiting = Buffer.concat(output);
    const now = waiting.subarray(0, bytesPerTick);
    output = now.length < waiting.length ? [waiting.subarray(now.length)] : [];
    if (plugged && now.length > 0) events?.data(Uint8Array.from(now));
    if (output.length > 0) return;
    if (pacing !== null) clearInterval(pacing);
    pacing = null;
    if (life === "booting") enter("login");
  };

  const later = (ms: number, run: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      run();
    }, ms);
    timers.add(timer);
  };

  const enter = (next: Life): void => {
    life = next;
    if (next === "login") say(`\n${name} login: `);
    if (next === "loader") say("\nmonitor: interrupted\nrommon > ");
  };

  const silence = (): void => {
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    output = [];
    typed = "";
  };

  const boot = (lastWords = ""): void => {
    silence();
    life = "booting";
    bootedAt = Date.now();
    say(`${lastWords}${bootLog(name)}`);
    const mumble = () =>
      later(CHATTER_MS[0] + random() * (CHATTER_MS[1] - CHATTER_MS[0]), () => {
        if (life === "login" || life === "shell") say(chatter(name, Date.now() - bootedAt, random));
        mumble();
      });
    mumble();
    if (options.troubleEveryMs > 0)
      later(options.troubleEveryMs * (0.5 + random()), () => fault(random() < 0.5 ? "hang" : "panic"));
  };

  const fault = (kind: DeviceFault): void => {
    if (kind === "unplug" && plugged) {
      plugged = false;
      return events?.down("console.missing", "unplugged (simulated)");
    }
    if (kind === "plug" && !plugged) {
      plugged = true;
      return events?.up();
    }
    if (life === "off" || kind === "plug" || kind === "unplug") return;
    silence();
    life = kind === "hang" ? "hung" : "panicked";
    if (kind === "panic") say(PANIC_TEXT);
  };

  /** A BREAK: a boot loader stops at its prompt, a kernel takes the next key for itself. */
  const feelBreak = (): void => {
    if (life === "booting" && !name.startsWith("server")) {
      silence();
      enter("loader");
    } else if (life !== "off" && name.startsWith("server")) attentionMs = Date.now() + ATTENTION_MS;
  };

  const hear = (text: string): void => {
    for (const char of text) {
      if (Date.now() < attentionMs) {
        attentionMs = 0;
        if (char === "b") boot(answerToBreak(char));
        else if (char === "c") fault("panic");
        else say(answerToBreak(char));
        continue;
      }
      if (life === "loader") {
        hearLoader(char);
        continue;
      }
      if (life !== "login" && life !== "password" && life !== "shell") return;
      if (char === "\r" || char === "\n") enterLine();
      else if (char === "\u007f" || char === "\b") typed = typed.slice(0, -1);
      else {
        typed += char;
        if (life !== "password") say(char);
      }
    }
  };

  const hearLoader = (char: string): void => {
    if (char !== "\r" && char !== "\n") {
      typed += char;
      return say(char);
    }
    const line = typed.trim();
    typed = "";
    say("\n");
    if (line === "boot" || line === "reset") return boot();
    say(line === "" ? "rommon > " : "commands: boot, reset\nrommon > ");
  };

  const enterLine = (): void => {
    const line = typed.trim();
    typed = "";
    say("\n");
    if (life === "login") {
      if (line === "") return enter("login");
      life = "password";
      return say("Password: ");
    }
    if (life === "password") {
      life = "shell";
      return say(`Welcome to ${name}.\n${name}# `);
    }
    if (line === "reload" || line === "reboot") return boot();
    if (line === "exit") return enter("login");
    say(`${answerTo(name, line, Date.now() - bootedAt)}${name}# `);
  };

  return {
    port: {
      start(listener) {
        events = listener;
        if (plugged) listener.up();
        else listener.down("console.missing", "unplugged (simulated)");
      },
      write(bytes) {
        if (!plugged || life === "off") return 0;
        hear(Buffer.from(bytes).toString("utf8"));
        return bytes.length;
      },
      // It tells at once, always.
      watch: () => undefined,
      async sendBreak() {
        if (!plugged) return false;
        feelBreak();
        return true;
      },
      holdBreak(on) {
        if (plugged && on) feelBreak();
        return plugged;
      },
      settings: () => line,
      setLine(wanted) {
        if (plugged) line = wanted;
        return plugged;
      },
      setModem: () => false,
      dropOutput: () => undefined,
      async stop() {
        silence();
        if (pacing !== null) clearInterval(pacing);
        pacing = null;
        events = null;
      },
    },
    setPower(on) {
      if (on === (life !== "off")) return;
      silence();
      life = "off";
      if (on) boot();
    },
    fault,
  };
}
