import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startBrokeredSite, startController, towpath, until } from "./world.ts";

/** From a real site to a file that an auditor judges with nothing but keys. */

interface Judged {
  readonly ok: boolean;
  readonly to: number;
  readonly proven: number;
  readonly problems: { seq: number | null; what: string }[];
  readonly notes: string[];
}

const judged = async (args: string[]): Promise<Judged & { code: number }> => {
  const { code, out, err } = await towpath(["audit", "verify", ...args, "--json"]);
  expect(out, err).not.toBe("");
  return { code, ...(JSON.parse(out) as Judged) };
};

describe("the ledger as evidence", () => {
  it("is taken from a running site over a broker, and is whole over a killed controller and a new trust", async () => {
    const site = await startBrokeredSite();
    const [key = ""] = /ssh-ed25519 [A-Za-z0-9+/=]+/.exec(site.controller.log()) ?? [];
    const root = join(site.folder, "root.pub");
    const power = (verb: string, target: string, flags = site.flags) =>
      towpath(["power", verb, target, "--yes", "--json", ...flags]);
    expect(await power("cycle", "one/router1")).toMatchObject({ code: 0 });
    const asVera = site.flags.map((one) => (one === site.identity ? join(site.folder, "vera") : one));
    expect(await power("off", "one/nas1", asVera)).toMatchObject({ code: 3 });

    site.controller.child.kill("SIGKILL");
    await site.controller.ended;
    const again = await startController(site.config);
    await until(() => /"connection":"primary","state":"up"/.test(again.log()));
    const trust = ["--trust", site.trust];
    await towpath(["trust", "add", "bob", "--key", join(site.folder, "vera.pub"), "--role", "viewer", ...trust]);
    await towpath(["trust", "sign", ...trust, "--identity", join(site.folder, "root")]);
    expect(await towpath(["trust", "push", "one", ...site.flags])).toMatchObject({ code: 0 });
    expect(await power("on", "one/nas1")).toMatchObject({ code: 0 });

    const file = join(site.folder, "one.jsonl");
    const exported = await towpath(["audit", "export", "one", "--out", file, "--json", ...site.flags]);
    expect(exported, exported.err).toMatchObject({ code: 0 });
    const whole = await judged([file, "--key", key, "--root", root]);
    expect(whole).toMatchObject({ code: 0, ok: true, problems: [], notes: [] });
    expect(whole.proven).toBe(whole.to);

    const lines = readFileSync(file, "utf8").split("\n");
    const kinds = lines.flatMap((line) => /"kind":"(\w+)"/.exec(line)?.[1] ?? []);
    for (const kind of ["start", "trust", "selected", "intent", "edge", "outcome", "checkpoint", "refused"])
      expect(kinds).toContain(kind);
    expect(kinds.filter((kind) => kind === "trust")).toHaveLength(2);
    expect(kinds.filter((kind) => kind === "start")).toHaveLength(2);

    const bent = join(site.folder, "bent.jsonl");
    const at = lines.findIndex((line) => line.includes('"kind":"edge"'));
    writeFileSync(bent, lines.map((line, index) => (index === at ? line.replace('"off"', '"on"') : line)).join("\n"));
    const seen = await judged([bent, "--key", key, "--root", root]);
    expect(seen).toMatchObject({ code: 4, ok: false });
    expect(seen.problems[0]).toMatchObject({ seq: at + 1, what: expect.stringContaining("does not hang on") });
    const words = await towpath(["audit", "verify", bent, "--key", key]);
    expect(words.out).toContain(`#${at + 1} does not hang on #${at}`);
    expect(await judged([file])).toMatchObject({ code: 4, problems: [] });
    expect((await judged([file, "--key", root])).problems).not.toEqual([]);

    const socket = ["--local", join(site.data, "towpath.sock")];
    const over = await towpath(["audit", "export", "one", ...socket]);
    expect(over, over.err).toMatchObject({ code: 0 });
    writeFileSync(bent, over.out);
    expect(await judged([bent, "--key", key])).toMatchObject({ code: 0, ok: true });
  });

  it("of a card is proven to the last checkpoint, and told to be unproven from there", async () => {
    const site = await startBrokeredSite();
    const [key = ""] = /ssh-ed25519 [A-Za-z0-9+/=]+/.exec(site.controller.log()) ?? [];
    expect(await towpath(["audit", "export", "--data", site.data])).toMatchObject({ code: 2 });
    expect(await towpath(["power", "cycle", "one/router1", "--yes", ...site.flags])).toMatchObject({ code: 0 });
    site.controller.child.kill("SIGTERM");
    await site.controller.ended;
    const file = join(site.folder, "card.jsonl");
    expect(await towpath(["audit", "export", "--data", site.data, "--out", file])).toMatchObject({ code: 0 });
    const report = await judged([file, "--key", key]);
    expect(report).toMatchObject({ code: 4, problems: [] });
    expect(report.proven).toBeGreaterThan(5);
    expect(report.notes.join()).toContain(`unproven: what stands after #${report.proven}`);
  });
});
