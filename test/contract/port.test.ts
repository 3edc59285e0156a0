import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Port } from "../../src/console/port.ts";
import { createSweeper } from "../../src/console/sweeper.ts";
import { createTtyPort, type Keeper } from "../../src/console/tty-port.ts";
import { createSimDevice } from "../../src/sim/device.ts";
import { openPty, openSocket } from "../pty.ts";

/** What every port does, real or simulated. */
interface Subject {
  readonly port: Port;
  /** Makes the device say something. */
  say(text: string): void;
  /** What the device heard so far. */
  heard(): string;
  unplug(): void;
  plug(): void;
  /** Ends what the test began. */
  end(): void;
}

const SUBJECTS: Record<string, () => Subject> = {
  "a terminal": () => {
    const socket = openSocket();
    const port = createTtyPort(
      {
        locate: () => socket.path,
        baudRate: 115_200,
        framing: { dataBits: 8, parity: "none", stopBits: 1 },
        flow: "none",
      },
      createSweeper(),
    );
    return {
      port,
      say: (text) => void socket.pty().say(text),
      heard: () => socket.pty().heard(),
      unplug: socket.unplug,
      plug: socket.plug,
      end: socket.end,
    };
  },
  "a simulated device": () => {
    const device = createSimDevice({ name: "router1", baudRate: 1_000_000, random: () => 0.5, troubleEveryMs: 0 });
    device.setPower(true);
    let heard = "";
    const port: Port = {
      ...device.port,
      write(bytes) {
        heard += Buffer.from(bytes).toString();
        return device.port.write(bytes);
      },
    };
    return {
      port,
      // The only way to make a device say a given thing is to type it: it echoes.
      say: (text) => void device.port.write(Buffer.from(text)),
      heard: () => heard,
      unplug: () => device.fault("unplug"),
      plug: () => device.fault("plug"),
      end: () => undefined,
    };
  },
};

async function within(ms: number, check: () => boolean): Promise<number> {
  const begun = performance.now();
  while (!check()) {
    if (performance.now() - begun > ms) throw new Error(`not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - begun;
}

for (const [name, make] of Object.entries(SUBJECTS)) {
  describe(`a port: ${name}`, () => {
    it("tells that it is up, gives what the device says, and types what it is given", async () => {
      const subject = make();
      const events: string[] = [];
      let said = "";
      subject.port.start({
        up: () => events.push("up"),
        down: (code) => events.push(code),
        data: (bytes) => (said += Buffer.from(bytes).toString()),
      });
      onTestFinished(async () => {
        await subject.port.stop();
        subject.end();
      });
      await within(3_000, () => events.includes("up"));
      await within(3_000, () => name === "a terminal" || said.includes("login: "));
      subject.say("hello");
      await within(3_000, () => said.includes("hello"));
      expect(subject.port.write(Buffer.from("typed"))).toBe(5);
      await within(3_000, () => subject.heard().includes("typed"));
      expect(events).toEqual(["up"]);
    });

    it("takes another speed, tells it, keeps it over a replug, and refuses it while it is away", async () => {
      const subject = make();
      let up = 0;
      subject.port.start({ up: () => up++, down: () => undefined, data: () => undefined });
      onTestFinished(async () => {
        await subject.port.stop();
        subject.end();
      });
      await within(3_000, () => up === 1);
      const other = { ...subject.port.settings(), baudRate: 19_200 };
      expect(subject.port.setLine(other)).toBe(true);
      expect(subject.port.settings()).toEqual(other);
      subject.unplug();
      await within(3_000, () => !subject.port.setLine({ ...other, baudRate: 300 }));
      expect(await subject.port.sendBreak(10)).toBe(false);
      expect(subject.port.holdBreak(true)).toBe(false);
      subject.plug();
      await within(3_000, () => up === 2);
      expect(subject.port.settings()).toEqual(other);
      expect(await subject.port.sendBreak(10)).toBe(true);
      expect([subject.port.holdBreak(true), subject.port.holdBreak(false)]).toEqual([true, true]);
      subject.port.dropOutput();
      // Neither a pseudo terminal nor a simulated device has modem lines.
      expect(subject.port.setModem({ dtr: false })).toBe(false);
    });

    it("types nothing by itself", async () => {
      const subject = make();
      subject.port.start({ up: () => undefined, down: () => undefined, data: () => undefined });
      await new Promise((resolve) => setTimeout(resolve, 200));
      await subject.port.stop();
      expect(subject.heard()).toBe("");
      subject.end();
    });

    it("tells once when it is unplugged, and is up again by itself when it returns", async () => {
      const subject = make();
      const events: string[] = [];
      let said = "";
      subject.port.start({
        up: () => events.push("up"),
        down: (code) => events.push(code),
        data: (bytes) => (said += Buffer.from(bytes).toString()),
      });
      await within(3_000, () => events.length === 1 && (name === "a terminal" || said.includes("login: ")));
      subject.unplug();
      await within(1_000, () => events.length === 2);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(events.slice(0, 2)).toEqual(["up", "console.missing"]);
      expect(events.filter((event) => event !== "up").length).toBeLessThanOrEqual(2);
      subject.plug();
      await within(1_000, () => events.at(-1) === "up");
      said = "";
      subject.say("again");
      await within(2_000, () => said.includes("again"));
      await subject.port.stop();
      subject.end();
    });
  });
}

describe("a terminal that cannot be opened", () => {
  const code = async (path: string): Promise<string> => {
    const port = createTtyPort(
      { locate: () => path, baudRate: 9_600, framing: { dataBits: 8, parity: "none", stopBits: 1 }, flow: "none" },
      createSweeper(),
    );
    const told = new Promise<string>((resolve) =>
      port.start({ up: () => resolve("up"), down: (why) => resolve(why), data: () => undefined }),
    );
    const why = await told;
    await port.stop();
    return why;
  };

  it("says why: not there, not a terminal, held by another", async () => {
    expect(await code("/dev/nothing-here")).toBe("console.missing");
    expect(await code("/dev/null")).toBe("console.error");
    let held = "";
    const pty = openPty();
    const holder = createTtyPort(
      { locate: () => pty.path, baudRate: 9_600, framing: { dataBits: 8, parity: "none", stopBits: 1 }, flow: "none" },
      createSweeper(),
    );
    await new Promise<void>((resolve) =>
      holder.start({ up: resolve, down: () => undefined, data: (bytes) => (held += Buffer.from(bytes).toString()) }),
    );
    pty.say("for its holder");
    expect(await code(pty.path)).toBe("console.busy");
    await within(1_000, () => held.includes("for its holder"));
    await holder.stop();
    pty.close();
  });
});

describe("a terminal whose identity is in doubt", () => {
  const options = {
    baudRate: 9_600,
    framing: { dataBits: 8 as const, parity: "none" as const, stopBits: 1 as const },
    flow: "none" as const,
  };
  const twins = { code: "console.quarantined" as const, detail: "two adapters fit" };

  it("is not opened, and nothing is written to it; it is told once", async () => {
    const pty = openPty();
    let asked = 0;
    const locate = () => {
      asked += 1;
      return twins;
    };
    const told: string[] = [];
    const port = createTtyPort({ locate, ...options }, createSweeper());
    port.start({
      up: () => told.push("up"),
      down: (code, detail) => told.push(`${code} ${detail}`),
      data: () => told.push("data"),
    });
    await within(3_000, () => asked >= 2);
    expect(port.write(Buffer.from("typed"))).toBe(0);
    await port.stop();
    expect(told).toEqual(["console.quarantined two adapters fit"]);
    expect(pty.heard()).toBe("");
    pty.close();
  });

  it("is closed when the doubt comes while it is open, and opened again when it goes", async () => {
    const pty = openPty();
    let doubt = false;
    const told: string[] = [];
    const port = createTtyPort({ locate: () => (doubt ? twins : pty.path), ...options }, createSweeper());
    port.start({ up: () => told.push("up"), down: (code) => told.push(code), data: () => undefined });
    await within(3_000, () => told.length === 1);
    doubt = true;
    await within(5_000, () => told.length === 2);
    expect(port.write(Buffer.from("typed"))).toBe(0);
    doubt = false;
    await within(5_000, () => told.length === 3);
    expect(told).toEqual(["up", "console.quarantined", "up"]);
    expect(port.write(Buffer.from("again"))).toBe(5);
    await port.stop();
    expect(pty.heard()).not.toContain("typed");
    pty.close();
  });
});

describe("bytes that the kernel kept", () => {
  it("are read at a reopen, before serialport's flush could take them", async () => {
    const pty = openPty();
    const options = {
      locate: () => pty.path,
      baudRate: 9_600,
      framing: { dataBits: 8 as const, parity: "none" as const, stopBits: 1 as const },
      flow: "none" as const,
    };
    const listen = async (port: Port) => {
      let said = "";
      await new Promise<void>((resolve) =>
        port.start({ up: resolve, down: () => undefined, data: (bytes) => (said += Buffer.from(bytes).toString()) }),
      );
      await new Promise((resolve) => setTimeout(resolve, 60));
      await port.stop();
      return said;
    };
    await listen(createTtyPort(options, createSweeper()));
    pty.say("said while nobody listened\r\n");
    expect(await listen(createTtyPort(options, createSweeper()))).toContain("said while nobody listened");
    pty.close();
  });
});

describe("a terminal that is kept while the program is away", () => {
  /** Keeps a descriptor of its own, as systemd does. */
  function keeper(): Keeper & { kept(): boolean } {
    let mine: number | null = null;
    return {
      kept: () => mine !== null,
      take: () => (mine === null ? null : openSync(`/proc/self/fd/${mine}`, constants.O_RDWR | constants.O_NONBLOCK)),
      put(fd) {
        mine = openSync(`/proc/self/fd/${fd}`, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY);
      },
      remove() {
        if (mine !== null) closeSync(mine);
        mine = null;
      },
    };
  }

  const options = {
    baudRate: 9_600,
    framing: { dataBits: 8 as const, parity: "none" as const, stopBits: 1 as const },
    flow: "none" as const,
  };

  async function life(path: string, kept: Keeper): Promise<{ port: Port; said: () => string; told: string[] }> {
    const told: string[] = [];
    let said = "";
    const port = createTtyPort({ ...options, locate: () => path, keeper: kept }, createSweeper());
    port.start({
      up: () => told.push("up"),
      down: (code) => told.push(code),
      data: (bytes) => (said += Buffer.from(bytes).toString()),
    });
    await within(3_000, () => told.length > 0);
    return { port, said: () => said, told };
  }

  it("goes on listening: what is said meanwhile is there, whole and in order", async () => {
    const pty = openPty();
    const kept = keeper();
    const first = await life(pty.path, kept);
    pty.say("before ");
    await within(3_000, () => first.said() === "before ");
    await first.port.stop();
    for (let n = 0; n < 100; n++) pty.say(`line ${n}\n`);
    const second = await life(pty.path, kept);
    await within(3_000, () => second.said().includes("line 99\n"));
    expect(second.said()).toBe(Array.from({ length: 100 }, (_, n) => `line ${n}\n`).join(""));
    expect(pty.heard()).toBe("");
    await second.port.stop();
    kept.remove();
    pty.close();
  });

  it("is mended when somebody had it by hand meanwhile: speed and echo are ours again, and nothing is typed", async () => {
    const pty = openPty();
    const kept = keeper();
    const first = await life(pty.path, kept);
    await first.port.stop();
    execFileSync("stty", ["-F", pty.path, "115200", "echo", "icanon", "min", "0"]);
    const second = await life(pty.path, kept);
    pty.say("login: ");
    await within(3_000, () => second.said().includes("login: "));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(execFileSync("stty", ["-F", pty.path]).toString()).toMatch(/speed 9600 baud/);
    expect([pty.heard(), second.told]).toEqual(["", ["up"]]);
    await second.port.stop();
    kept.remove();
    pty.close();
  });

  it("is found again when the config names it by a link", async () => {
    const pty = openPty();
    const folder = mkdtempSync(join(tmpdir(), "towpath-link-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const link = join(folder, "by-id");
    symlinkSync(pty.path, link);
    const kept = keeper();
    await (await life(link, kept)).port.stop();
    let given = 0;
    const counting: Keeper = { ...kept, remove: () => given++ };
    const again = await life(link, counting);
    expect([again.told, given]).toEqual([["up"], 0]);
    await again.port.stop();
    kept.remove();
    pty.close();
  });

  it("a program that makes empty reads normal (VMIN=0) is no hang-up", async () => {
    const pty = openPty();
    const { port, told, said } = await life(pty.path, keeper());
    execFileSync("stty", ["-F", pty.path, "min", "0"]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    pty.say("still here");
    await within(3_000, () => said().includes("still here"));
    expect(told).toEqual(["up"]);
    await port.stop();
    pty.close();
  });

  it("is given up when it hung up, so that its number is free for the adapter that returns", async () => {
    const pty = openPty();
    const kept = keeper();
    const { port, told } = await life(pty.path, kept);
    expect(kept.kept()).toBe(true);
    pty.close();
    await within(3_000, () => told.includes("console.missing"));
    expect(kept.kept()).toBe(false);
    await port.stop();
  });
});
