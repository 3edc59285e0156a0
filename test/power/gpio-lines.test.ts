import { describe, expect, it } from "vitest";
import type { FdStore } from "../../src/linux/fd-store.ts";
import type { Chip, GpioKernel, LineConfig } from "../../src/linux/gpio.ts";
import { IoctlError } from "../../src/linux/ioctl.ts";
import { createRelayBank } from "../../src/power/bank.ts";
import { openGpioLines, storeName } from "../../src/power/gpio-lines.ts";

/** A header as the kernel shows it: lines keep their levels, and every call that could move one is written down. */
function header(options: { persist: boolean; names?: (offset: number) => string } = { persist: true }) {
  const chip: Chip = { path: "/dev/gpiochip0", label: "pinctrl-bcm2711", lines: 28 };
  const name = options.names ?? ((offset: number) => `GPIO${offset}`);
  const lines = Array.from({ length: chip.lines }, (_, offset) => ({
    ...{ name: name(offset), offset, used: false, consumer: "", output: false, high: false },
  }));
  type Line = (typeof lines)[number];
  const fds = new Map<number, Line>();
  const edges: string[] = [];
  let next = 100;
  const at = (fd: number): Line => {
    const line = fds.get(fd);
    if (line === undefined) throw new IoctlError("a line", "EBADF");
    return line;
  };
  const level = (line: Line, high: boolean) => {
    if (line.high !== high || !line.output) edges.push(`${line.name} ${high ? "high" : "low"}`);
    Object.assign(line, { high, output: true });
  };
  const configure = (line: Line, config: LineConfig) => {
    if (config.kind === "output") level(line, config.high);
    if (config.kind === "input") line.output = false;
  };
  const kernel: GpioKernel = {
    chips: () => [chip],
    lines: () => lines,
    request(_chip, offset, consumer, config) {
      const line = lines[offset];
      if (line === undefined || line.used) throw new IoctlError("line", "EBUSY");
      Object.assign(line, { used: true, consumer });
      configure(line, config);
      fds.set(++next, line);
      return next;
    },
    configure: (fd, config) => configure(at(fd), config),
    read: (fd) => at(fd).high,
    write(fd, high) {
      const line = at(fd);
      if (line.high !== high) level(line, high);
    },
    release(fd) {
      Object.assign(at(fd), { used: false, consumer: "" }, options.persist ? {} : { output: false, high: false });
      fds.delete(fd);
    },
  };
  return { kernel, lines, edges };
}

function store(kept: Record<string, number> = {}): FdStore & { kept: Record<string, number> } {
  const given = { ...kept };
  return {
    available: true,
    kept: given,
    take(name) {
      const fd = given[name] ?? null;
      delete given[name];
      return fd;
    },
    left: () => Object.keys(given),
    put(name, fd) {
      given[name] = fd;
      return true;
    },
    remove: (name) => void delete given[name],
  };
}

const relay = (number: number, line: string, coldHigh = false) => ({
  ...{ relay: number, outlet: `a${number}`, chip: "pinctrl-bcm2711", line, coldHigh },
});

describe("relay lines on a gpiochip", () => {
  it("a line that runs as an output is adopted at its level, without an edge", () => {
    const { kernel, lines, edges } = header();
    Object.assign(lines[17] ?? {}, { output: true, high: true });
    const bank = createRelayBank(openGpioLines([relay(1, "GPIO17")], { kernel, store: store() }), "high", [1]);
    expect([bank.levels(), edges, lines[17]?.consumer]).toEqual([{ 1: true }, [], "towpath:a1"]);
    expect(bank.set(1, false)).toEqual({ energised: false, fault: null });
    expect(edges).toEqual(["GPIO17 low"]);
  });

  it("a line that nobody drove gets the level at which its relay stays as it is", () => {
    const { kernel, edges } = header();
    const opened = openGpioLines([relay(1, "GPIO5", true), relay(2, "GPIO6")], { kernel, store: store() });
    expect([...opened.sources.values(), edges]).toEqual(["cold", "cold", ["GPIO5 high", "GPIO6 low"]]);
  });

  it("a line that systemd kept is used as it is: the kernel is not even asked for it", () => {
    const { kernel, edges } = header({ persist: false });
    const kept = store();
    openGpioLines([relay(1, "GPIO17")], { kernel, store: kept }).write(1, true);
    const before = [...edges];
    const again = openGpioLines([relay(1, "GPIO17")], { kernel, store: store(kept.kept) });
    expect([again.sources.get(1), again.read(1), edges]).toEqual(["stored", true, before]);
  });

  it("what was kept and leads nowhere is given up, and the line is asked for anew", () => {
    const { kernel } = header();
    const kept = store({ [storeName(relay(1, "GPIO17"))]: 7 });
    const lying: GpioKernel = { ...kernel, release: () => undefined };
    const opened = openGpioLines([relay(1, "GPIO17")], { kernel: lying, store: kept });
    expect([opened.sources.get(1), Object.values(kept.kept)]).toEqual(["cold", [101]]);
  });

  it("a line that another program holds is named with its holder; the others work, and a later try finds it free", () => {
    const { kernel, lines } = header();
    const holder = kernel.request(kernel.chips()[0] as Chip, 5, "gpioset", { kind: "as-is" });
    const opened = openGpioLines([relay(1, "GPIO5"), relay(2, "GPIO6")], { kernel, store: store() });
    const bank = createRelayBank(opened, "high", [1, 2]);
    expect(bank.levels()).toEqual({ 2: false });
    expect(bank.set(1, true).fault).toContain('GPIO5 of pinctrl-bcm2711 is held by "gpioset"');
    kernel.release(holder);
    expect(bank.set(1, true)).toEqual({ energised: true, fault: null });
    expect(lines[5]?.consumer).toBe("towpath:a1");
  });

  it("a chip that went away and came back: its lines are asked for again, and driven", () => {
    const { kernel } = header();
    let gone: number | null = null;
    const flaky: GpioKernel = {
      ...kernel,
      read(fd) {
        gone ??= fd;
        if (fd === gone) throw new IoctlError("reading a line", "ENODEV");
        return kernel.read(fd);
      },
    };
    const lines = openGpioLines([relay(1, "GPIO17")], { kernel: flaky, store: store() });
    const bank = createRelayBank(lines, "high", [1]);
    expect(bank.set(1, true)).toEqual({ energised: true, fault: null });
  });

  it("the wrong board, a line that is not there and missing rights say what to do", () => {
    const { kernel } = header();
    const why = (line: Parameters<typeof relay>[1], more: object = {}, changed: Partial<GpioKernel> = {}) =>
      openGpioLines([{ ...relay(1, line), ...more }], { kernel: { ...kernel, ...changed }, store: store() }).faults.get(
        1,
      );
    expect(why("GPIO17", { chip: "pinctrl-rp1" })).toMatch(/no gpiochip "pinctrl-rp1".*pinctrl-bcm2711.*overlay/);
    expect(why("GPIO99")).toContain('no line "GPIO99"');
    const denied = () => {
      throw new IoctlError("a line", "EACCES");
    };
    expect(why("GPIO17", {}, { request: denied })).toContain("group gpio");
    expect(why("GPIO17", {}, { chips: denied })).toContain("group gpio");
    const [chip] = kernel.chips();
    expect(why("GPIO17", {}, { chips: () => (chip ? [chip, chip] : []) })).toContain("2 gpiochips");
  });

  it("a header line whose device tree names it after its other use is found by its number", () => {
    const { kernel, lines } = header({
      persist: true,
      names: (offset) => (offset === 4 ? "GPIO_GCLK" : `GPIO${offset}`),
    });
    openGpioLines([relay(1, "GPIO4"), relay(2, "#7")], { kernel, store: store() });
    expect([lines[4]?.consumer, lines[7]?.consumer]).toEqual(["towpath:a1", "towpath:a2"]);
  });
});
