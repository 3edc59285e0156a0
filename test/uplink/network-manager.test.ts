import { describe, expect, it } from "vitest";
import type { BusCall } from "../../src/linux/dbus.ts";
import { encodeValues } from "../../src/linux/dbus-wire.ts";
import { activate } from "../../src/uplink/network-manager.ts";

/** What NetworkManager answers; each question must fit its own signature. */
const DEVICES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "/d/eth0": { Udi: "/sys/eth0", Interface: "eth0", IpInterface: "eth0" },
  "/d/modem": {
    ...{ Udi: "/Modem/7", Interface: "cdc-wdm0", IpInterface: "wwan0" },
    ...{ ActiveConnection: "/a/1", AvailableConnections: ["/c/1", "/c/2"] },
  },
};

function manager() {
  const activated: unknown[] = [];
  const ask = (call: BusCall): Promise<readonly unknown[]> => {
    encodeValues(call.signature ?? "", call.body ?? []);
    if (call.member === "GetDevices") return Promise.resolve([Object.keys(DEVICES)]);
    if (call.member === "GetSettings")
      return Promise.resolve([{ connection: { id: call.path === "/c/2" ? "carrier-b" : "carrier-a" } }]);
    if (call.member === "ActivateConnection") activated.push(call.body);
    if (call.path === "/a/1") return Promise.resolve([{ Connection: "/c/1" }]);
    return Promise.resolve([DEVICES[call.path] ?? {}]);
  };
  return { ask, activated };
}

describe("NetworkManager, asked for the bearer anew", () => {
  it("takes the connection that was in use, on the device of the modem, whatever its interface is called", async () => {
    const { ask, activated } = manager();
    await activate(ask, { modem: "/Modem/7", interface: "wwan9", name: null });
    expect(activated).toEqual([["/c/1", "/d/modem", "/"]]);
  });

  it("takes the one that is named, and says so where there is none", async () => {
    const { ask, activated } = manager();
    expect(await activate(ask, { modem: "/Modem/0", interface: "wwan0", name: "carrier-b" })).toBe("carrier-b");
    expect(activated).toEqual([["/c/2", "/d/modem", "/"]]);
    await expect(activate(ask, { modem: "/Modem/0", interface: "wwan0", name: "gone" })).rejects.toThrow(/"gone"/);
  });

  it("touches no other device when it does not know the modem", async () => {
    const { ask, activated } = manager();
    await expect(activate(ask, { modem: "/Modem/9", interface: "wwan9", name: null })).rejects.toThrow(/wwan9/);
    expect(activated).toEqual([]);
  });
});
