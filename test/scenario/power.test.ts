import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeSite, start, startController, TOWPATH, temporaryFolder, towpath, until } from "./world.ts";

const OUTLETS = `  a1: { relay: 1, contact: nc, offTime: 500ms, minOff: 0s, minOn: 0s, onDelay: 300ms }
  a2: { relay: 2, contact: nc, offTime: 500ms, minOff: 0s, minOn: 0s }
  a3: { relay: 3, contact: no, minOn: 30s, minOff: 0s }
  a4: { relay: 4, contact: no, minOn: 0s, minOff: 0s }`;

async function site(outlets = OUTLETS) {
  const made = await makeSite(temporaryFolder(), { outlets, yaml: "interlocks: [[a3, a4]]" });
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
    expect(refused.err).toMatch(/a3 by alice .* ago: hands inside/);
    expect(refused.err).toContain("towpath power unlock");
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

  it("a locked outlet says by whom, since and until when, why, and whose the unlock is", async () => {
    const { power, flags } = await site();
    await power(["lock", "one/nas1", "--for", "2h", "--reason", "hands inside"]);
    const status = await towpath(["status", "one", ...flags]);
    expect(status.out).toMatch(/locked by alice since 20\S+Z: hands inside \((until 20|does not end before)/);
    expect((await power(["off", "one/nas1"])).err).toMatch(/`towpath power unlock` is theirs, or an admin's/);
    expect((await power(["unlock", "one/nas1"])).code).toBe(0);
    expect((await towpath(["status", "one", ...flags])).out).not.toContain("locked by");
  });

  it("what is pending counts down in `power status`; `cancel` brings it on now, or leaves it on before its edge", async () => {
    const { flags, power, edges } = await site(`  a1: { relay: 1, contact: nc, minOff: 0s, minOn: 0s }
  a2: { relay: 2, contact: nc, minOff: 0s, minOn: 0s, offDelay: 2h }
  a3: { relay: 3, contact: nc, minOff: 0s, minOn: 0s }
  a4: { relay: 4, contact: no }`);
    const pending = async () => (await towpath(["power", "status", "one", ...flags])).out;
    const begun = (target: string) =>
      start("node", [TOWPATH, "power", "off", target, "--for", "1h", "--yes", ...flags]);
    const off = begun("one/nas1");
    onTestFinished(() => void off.child.kill("SIGKILL"));
    await until(() => edges().length === 1, 20_000, off.log);
    const told = await pending();
    expect(told).toMatch(/running cycle nas1 by alice: a3 on in (1 h 0 min|59 min|60 min)/);
    expect(told).toContain("at once with: towpath power cancel one/nas1");
    expect((await power(["cancel", "one/nas1"])).code).toBe(0);
    expect(await off.ended, off.log()).toBe(0);
    expect(off.log()).toContain("cancelled");
    expect(edges().map(({ energised }) => energised)).toEqual([true, false]);

    const late = begun("one/router1:a2");
    onTestFinished(() => void late.child.kill("SIGKILL"));
    await until(() => late.log().includes("accepted"), 20_000, late.log);
    expect(await pending()).toMatch(/a2 off in [12] h[\s\S]*not at all with: towpath power cancel one\/router1:a2/);
    expect((await power(["cancel", "one/router1:a2"])).code).toBe(0);
    expect(await late.ended, late.log()).toBe(0);
    expect(edges().filter(({ relay }) => relay === 2)).toEqual([]);
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
