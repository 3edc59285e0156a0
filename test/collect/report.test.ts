import { describe, expect, it } from "vitest";
import { problemsOf } from "../../src/collect/report.ts";
import type { ConsoleStatus, SiteStatus, StatusFile } from "../../src/collect/status.ts";

const NOW = Date.UTC(2026, 10, 23, 3);
const MINUTE = 60_000;

const CONSOLE: ConsoleStatus = {
  bytes: 10,
  lastByte: null,
  gaps: {},
  recent: [],
  holes: [],
  damaged: 0,
  problem: null,
};

const SITE: SiteStatus = {
  online: true,
  since: NOW - 60 * MINUTE,
  heard: NOW - MINUTE,
  verified: true,
  forged: 0,
  forgedAt: null,
  storage: { state: "ok", detail: "" },
  ackedAt: NOW - MINUTE,
  problem: null,
  renumbered: null,
  events: { next: 5, bytes: 100, lost: 0, lostAt: null, missing: 0 },
  consoles: { router1: CONSOLE },
};

function file(site: Partial<SiteStatus> = {}, more: Partial<StatusFile> = {}): StatusFile {
  return {
    v: 1,
    at: NOW - 5_000,
    receiver: "vault",
    pid: 1,
    startedAt: NOW - 120 * MINUTE,
    connection: { state: "connected", detail: "", since: NOW - 120 * MINUTE },
    disk: { state: "ok", detail: "", since: NOW - 120 * MINUTE },
    signing: null,
    hooks: { ran: 0, failed: 0, dropped: 0 },
    sites: { "acme/one": { ...SITE, ...site } },
    unreadable: {},
    ...more,
  };
}

const NORMAL = { running: true, nowMs: NOW, silentAfterMs: 5 * MINUTE, freeBytes: 1e10 };

function said(status: StatusFile, now: Partial<typeof NORMAL> = {}): string[] {
  return problemsOf(status, { ...NORMAL, ...now }).map(({ where, what, why }) => `${where}: ${what}: ${why}`);
}

describe("the status of what is collected", () => {
  it("has nothing to say when all is well", () => {
    expect(said(file())).toEqual([]);
  });

  it("says since when a site is away, and lets it be away for a moment", () => {
    const away = (minutes: number) =>
      said(file({ online: false, since: NOW - minutes * MINUTE, heard: NOW - 20 * MINUTE }));
    expect(away(3)).toEqual([]);
    expect(away(9)).toEqual(["acme/one: offline for 9 min 0 s: last heard 20 min 0 s ago"]);
  });

  it("does not believe a broker that says online of a site that is not heard", () => {
    expect(said(file({ heard: NOW - 10 * MINUTE }))).toEqual([]);
    expect(said(file({ heard: NOW - 12 * MINUTE }))[0]).toContain(
      "silent for 12 min 0 s: the broker says that it is online",
    );
  });

  it("says what is missing and why: the site is silent, refuses, or has not sent it", () => {
    const hole = { boot: 7, from: 10, to: 30, since: NOW - 10 * MINUTE, torn: false };
    const consoles = { router1: { ...CONSOLE, holes: [hole] } };
    expect(said(file({ consoles }))).toEqual([
      "acme/one/router1: bytes 10 to 30 of boot 7 are missing for 10 min 0 s: not sent yet",
    ]);
    expect(said(file({ consoles, problem: "role.denied" }))[0]).toContain("role.denied");
    expect(said(file({ consoles, online: false, since: NOW - 9 * MINUTE }))[1]).toContain("the site is silent");
    const fresh = { router1: { ...CONSOLE, holes: [{ ...hole, since: NOW - MINUTE }] } };
    expect(said(file({ consoles: fresh }))).toEqual([]);
  });

  it("says what was lost in the last day, and only counts it afterwards", () => {
    const gap = { cause: "quota", length: 4_096, boot: 7, offset: 100, heard: NOW - 60 * MINUTE };
    const lost = (heard: number) => said(file({ consoles: { router1: { ...CONSOLE, recent: [{ ...gap, heard }] } } }));
    expect(lost(gap.heard)).toEqual(["acme/one/router1: 4096 bytes are lost at 100 of boot 7: quota"]);
    expect(lost(NOW - 25 * 60 * MINUTE)).toEqual([]);
  });

  it("says that the service is dead, hangs, has no broker, no key or no room", () => {
    expect(said(file(), { running: false })[0]).toContain("the service does not run since 5 s");
    expect(said(file({}, { at: NOW - 10 * MINUTE }))[0]).toContain("has written no status for 10 min");
    const connection = { state: "not connected", detail: "ECONNREFUSED", since: NOW - MINUTE };
    expect(said(file({}, { connection }))[0]).toContain("no broker for 1 min 0 s: ECONNREFUSED");
    expect(said(file({}, { signing: "agent refused" }))[0]).toContain("cannot be signed: agent refused");
    const disk = { state: "failing", detail: "full", since: NOW - MINUTE };
    expect(said(file({}, { disk }))[0]).toContain("the disk takes nothing for 1 min 0 s: full");
    expect(said(file(), { freeBytes: 1e6 })[0]).toContain("0 MiB are left");
  });

  it("says who cannot be believed, and which events are lost, with a remedy", () => {
    expect(said(file({ verified: null }))[0]).toContain("acme/one: unverified: no key is known");
    expect(said(file({ forged: 3, forgedAt: NOW - MINUTE }))[0]).toContain("3 statements in its name are not signed");
    expect(said(file({ forged: 3, forgedAt: NOW - 25 * 60 * MINUTE }))).toEqual([]);
    const events = { ...SITE.events, lost: 7 };
    expect(said(file({ events: { ...events, lostAt: NOW - MINUTE } }))[0]).toContain("7 events are lost");
    expect(said(file({ events: { ...events, lostAt: NOW - 25 * 60 * MINUTE } }))).toEqual([]);
    const renumbered = { at: NOW - MINUTE, had: 10, next: 4 };
    expect(said(file({ renumbered }))[0]).toContain("went back from #9 to #3");
    const remedies = problemsOf(file({ verified: null }), NORMAL).map(({ todo }) => todo);
    expect(remedies[0]).toContain("a running collector reads it by itself");
  });

  it("says whose files the disk does not give, and that nothing of it is stored", () => {
    expect(said(file({}, { unreadable: { "acme/two": "EIO: i/o error" } }))).toEqual([
      "acme/two: its files here cannot be read, nothing of it is stored: EIO: i/o error",
    ]);
  });

  it("says that a site's card is dying, and that a named site was never heard", () => {
    expect(said(file({ storage: { state: "degraded", detail: "EIO" } }))[0]).toContain("card takes no records: EIO");
    const never = { online: null, since: null, heard: null };
    expect(said(file(never))[0]).toContain("never heard");
  });
});
