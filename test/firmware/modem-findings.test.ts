import { describe, expect, it, onTestFinished } from "vitest";
import { machineFacts } from "../../firmware/doctor/facts.ts";
import { modemFindings } from "../../firmware/doctor/modem.ts";
import type { SiteConfig } from "../../src/config/config.ts";
import { type FakeMachine, fakeMachine } from "../fake-machine.ts";
import { siteOf } from "./site.ts";

const ON_PINS = siteOf("outlets:\n  a1: { relay: 3, contact: nc }\n", { board: "pi4-waveshare-8ch" });
const LTE: NonNullable<SiteConfig["uplinks"]["lte"]> = {
  interface: "wwan0",
  modem: "auto",
  budget: null,
  modemOutlet: null,
  driver: "modemmanager",
  profiles: [],
  source: "fixed",
  resolvers: [],
};
const WITH_MODEM: SiteConfig = { ...ON_PINS, uplinks: { primary: null, lte: LTE } };

function machine(): FakeMachine {
  const made = fakeMachine();
  onTestFinished(made.end);
  return made;
}

const seen = ({ files }: FakeMachine, config: SiteConfig): string[] =>
  modemFindings({ ...machineFacts(), files }, config).map(({ check, level, what }) => `${level} ${check}: ${what}`);

describe("doctor: the modem", () => {
  it("a machine from which a guide had ModemManager removed says so, and what else is missing", () => {
    const found = seen(machine(), WITH_MODEM);
    expect(found.map((one) => one.split(":")[0])).toEqual([
      "bad modem.manager",
      "warn modem.rights",
      "warn modem.interface",
    ]);
    expect(found[0]).toContain("not installed");
    expect(seen(machine(), ON_PINS)).toEqual([]);
  });

  it("installed and stopped is another thing than gone; a machine that has all is well", () => {
    const made = machine();
    made.file("usr/sbin/ModemManager", "");
    expect(seen(made, WITH_MODEM)[0]).toBe("bad modem.manager: ModemManager does not run");
    made.process(7, "ModemManager");
    made.file("usr/share/polkit-1/rules.d/60-towpath.rules", "");
    made.file("sys/class/net/wwan0/mtu", "1500");
    expect(seen(made, WITH_MODEM).map((one) => one.split(" ")[0])).toEqual(["ok", "ok", "ok"]);
  });

  it("a stick that is a router by itself needs no ModemManager", () => {
    const config: SiteConfig = { ...ON_PINS, uplinks: { primary: null, lte: { ...LTE, modem: "none" } } };
    expect(seen(machine(), config).map((one) => one.split(":")[0])).toEqual(["warn modem.interface"]);
  });
});
