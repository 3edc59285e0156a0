import { describe, expect, it } from "vitest";
import { QUIET_ONLINE_MS, SitePresence } from "../../src/collect/presence.ts";
import { Presences } from "../../src/operator/presences.ts";

const said = (state: "online" | "offline", n = 1) => ({ state, boot: 7, start: 1, n });

describe("a site with two connections", () => {
  it("is there while one of them is, to a collector and to a person", () => {
    const site = new SitePresence({ online: null, since: null, heard: null });
    const person = new Presences();
    expect(person.best()).toBeNull();
    const say = (uplink: string, state: "online" | "offline") => {
      site.say(uplink, said(state));
      person.say(uplink, Buffer.from(JSON.stringify(said(state))));
      site.judge(0);
      return [site.state.online, person.best()?.state];
    };
    expect(say("lte", "online")).toEqual([true, "online"]);
    expect(say("primary", "offline")).toEqual([true, "online"]);
    expect(say("lte", "offline")).toEqual([false, "offline"]);
    expect(say("primary", "online")).toEqual([true, "online"]);
  });

  it("is not asked for the text of its consoles over LTE alone, and may be silent there", () => {
    const site = new SitePresence({ online: null, since: null, heard: 0 });
    const spared = () => ["router1.rx", "ledger"].map((subject) => site.spares(subject));
    site.say("lte", said("online"));
    site.judge(0);
    expect(spared()).toEqual([true, false]);
    expect(site.judgeQuiet(10 * QUIET_ONLINE_MS, 0)).toBeNull();
    site.say("primary", said("online"));
    expect(spared()).toEqual([false, false]);
    expect(site.judgeQuiet(10 * QUIET_ONLINE_MS, 0)).toBe("quiet");
    site.say("primary", said("offline"));
    expect(spared()).toEqual([true, false]);
    expect(site.judgeQuiet(10 * QUIET_ONLINE_MS, 0)).toBe("heard");
  });
});
