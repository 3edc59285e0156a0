import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";

const RULES = join(import.meta.dirname, "../../firmware/system/usr/share/polkit-1/rules.d/60-towpath.rules");

it("polkit lets the controller's user bring the modem back, and nobody do anything else by this", () => {
  let rule: (action: { id: string }, subject: { user: string }) => unknown = () => "no rule";
  const addRule = (one: typeof rule): void => {
    rule = one;
  };
  const polkit = { Result: { YES: "yes" }, addRule };
  runInNewContext(readFileSync(RULES, "utf8"), { polkit });
  const control = "org.freedesktop.ModemManager1.Device.Control";
  expect(rule({ id: control }, { user: "towpath" })).toBe("yes");
  expect(rule({ id: "org.freedesktop.NetworkManager.network-control" }, { user: "towpath" })).toBe("yes");
  expect(rule({ id: control }, { user: "pi" })).toBeUndefined();
  expect(rule({ id: "org.freedesktop.login1.reboot" }, { user: "towpath" })).toBeUndefined();
});
