import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeSite, startController, temporaryFolder, towpath, until } from "./world.ts";

const OUTLETS = `  a1: { relay: 1, contact: nc, offTime: 500ms, minOff: 0s, minOn: 0s, onDelay: 300ms }
  a2: { relay: 2, contact: nc, offTime: 500ms, minOff: 0s, minOn: 0s }
  a3: { relay: 3, contact: no, minOn: 30s, minOff: 0s }
  a4: { relay: 4, contact: no, minOn: 0s, minOff: 0s }`;

async function site() {
  const made = await makeSite(temporaryFolder(), { outlets: OUTLETS, yaml: "interlocks: [[a3, a4]]" });
  const controller = await startController(made.config);
  const flags = ["--local", join(made.data, "towpath.sock"), "--identity", made.identity, "--trust", made.trust];
  const power = (args: string[]) => towpath(["power", ...args, "--yes", ...flags]);
  return { ...made, controller, flags, power };
}

describe("power for a whole site, at the terminal", () => {
  it("several targets are one command, in one preview, all or none unless partial", async () => {
    const { power, edges } = await site();
    const both = await power(["cycle", "one/router1", "one/nas1", "--from", "any"]);
    expect(both, both.err).toMatchObject({ code: 0 });
    expect(both.out).toContain("loses      router1, nas1");
    const before = edges().length;
    expect((await power(["lock", "one/nas1", "--for", "2h", "--reason", "hands inside"])).code).toBe(0);
    const refused = await power(["cycle", "one/router1", "one/nas1"]);
    expect(refused).toMatchObject({ code: 3 });
    expect(refused.err).toContain("alice: hands inside");
    expect(edges()).toHaveLength(before);
    const partly = await power(["cycle", "one/router1", "one/nas1", "--partial"]);
    expect(partly, partly.err).toMatchObject({ code: 0 });
    expect(partly.out).toContain("left out");
    expect(
      new Set(
        edges()
          .slice(before)
          .map(({ relay }) => relay),
      ),
    ).toEqual(new Set([1, 2]));
    const two = await power(["on", "one/nas1", "two/nas1"]);
    expect(two).toMatchObject({ code: 2 });
    expect(two.err).toContain("one site at a time");
  });

  it("a locked outlet says by whom, why and until when, also in status", async () => {
    const { power, flags } = await site();
    await power(["lock", "one/nas1", "--for", "2h", "--reason", "hands inside"]);
    const status = await towpath(["status", "one", ...flags]);
    expect(status.out).toMatch(/locked by alice: hands inside \((until 20|does not end before)/);
  });

  it("two that are never both on are refused with the rule", async () => {
    const { power } = await site();
    expect((await power(["on", "one/nas1"])).code).toBe(0);
    const refused = await power(["on", "one/:a4"]);
    expect(refused).toMatchObject({ code: 3 });
    expect(refused.err).toContain("a4 and a3 are never both on");
    expect(refused.err).toContain("outlet.interlock");
  });

  it("an override wants a reason, an admin's role, and is named in the ledger", async () => {
    const { power, flags } = await site();
    expect((await power(["on", "one/nas1"])).code).toBe(0);
    expect((await power(["off", "one/nas1"])).err).toContain("outlet.min-on");
    const silent = await power(["off", "one/nas1", "--override", "min-time"]);
    expect(silent).toMatchObject({ code: 2 });
    expect(silent.err).toContain("--reason");
    expect((await power(["off", "one/nas1", "--override", "lock", "--reason", "x"])).code).toBe(2);
    const denied = await power(["off", "one/nas1", "--override", "min-time", "--reason", "smoke"]);
    expect(denied).toMatchObject({ code: 3 });
    expect(denied.err).toContain("needs the verb admin");
    await until(async () => (await towpath(["events", "one", ...flags])).out.includes("role.denied"));
  });
});
