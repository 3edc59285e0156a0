import type { KeyObject } from "node:crypto";
import { signEd25519, verifySignature } from "../../src/access/sshsig.ts";
import type { Connection } from "../../src/core/events.ts";
import type { SitePlan, Switch } from "../../src/core/plan.ts";
import { powerOf } from "../../src/core/plan.ts";
import { createMemoryDisk, type MemoryDisk } from "../../src/disk/memory-disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { NAMESPACES } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import type { Edges, Keys, Outgoing } from "../../src/site/edges.ts";
import { readOffer } from "../../src/site/inbox.ts";
import { nextStart, recoverDurable } from "../../src/site/recover.ts";
import { createSite, type Site } from "../../src/site/site.ts";
import { newKey, trustText } from "../trust.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./time.ts";

/** A site that can crash at any effect, with its disk and its relays, in virtual time. The site itself is the real one. */

export interface Faults {
  /** Probability of a crash at each effect. */
  readonly crash: number;
  /** Of those, how many take the kernel down as well. */
  readonly powerCut: number;
  readonly slowSync: number;
  readonly brokenDisk: number;
  readonly wallJump: number;
}

export interface Edge {
  readonly atMs: number;
  readonly id: string;
  readonly outlet: string;
  readonly power: Switch;
}

class Crash extends Error {}

const ROOT = newKey();
const SITE_KEY = newKey();
export const OPERATOR_KEYS: Record<"alice" | "bob" | "mallory", KeyObject> = {
  alice: newKey(),
  bob: newKey(),
  mallory: newKey(),
};

const TRUST = trustText({
  fleet: "sim",
  epoch: 1,
  root: ROOT,
  operators: { alice: { key: OPERATOR_KEYS.alice, role: "operator" }, bob: { key: OPERATOR_KEYS.bob, role: "viewer" } },
});

const KEYS: Keys = {
  sign: (body) => signEd25519(SITE_KEY, body, NAMESPACES.site),
  verify: (body, signature, namespace) => verifySignature(body, signature, namespace)?.fingerprint ?? null,
};

const outlet = (name: string, relay: number, contact: "no" | "nc", offTimeMs = 5_000) => ({
  name,
  relay,
  contact,
  offTimeMs,
  minOffMs: 2_000,
  minOnMs: 10_000,
  rate: { max: 6, perMs: 3_600_000 },
  observe: null,
});

export const PLAN: SitePlan = {
  fleet: "sim",
  site: "one",
  outlets: {
    a1: outlet("a1", 1, "nc"),
    a2: outlet("a2", 2, "nc", 10_000),
    a3: outlet("a3", 3, "no"),
    a4: outlet("a4", 4, "nc"),
  },
  devices: {
    router1: { name: "router1", outlets: ["a1", "a2"], consoles: ["router1"], after: [] },
    switch1: { name: "switch1", outlets: ["a3"], consoles: [], after: ["router1"] },
    modem1: { name: "modem1", outlets: ["a4"], consoles: [], after: [] },
  },
  consoles: ["router1"],
  ownBranch: { declared: true, controller: [], path: ["a4"] },
};

export const COMMAND_TOPIC = `${siteRoot("sim", "one")}/dn/command`;

export class World {
  readonly edges: Edge[] = [];
  readonly history: string[] = [];
  readonly accepted = new Set<string>();
  readonly counts = { crashes: 0, powerCuts: 0, slowSyncs: 0, diskFaults: 0, wallJumps: 0 };
  site: Site | null = null;
  private readonly levels: Record<number, boolean> = { 1: false, 2: false, 3: true, 4: false };
  private readonly disk: MemoryDisk = createMemoryDisk();
  private boot: number;
  private bootedAtMs = 0;
  private life = 0;
  private wallMs = 1_700_000_000_000;
  calm = false;
  readonly time: VirtualTime;
  private readonly random: Random;
  private readonly faults: Faults;
  private readonly publish: (message: Outgoing) => void;

  constructor(time: VirtualTime, random: Random, faults: Faults, publish: (message: Outgoing) => void) {
    this.time = time;
    this.random = random;
    this.faults = faults;
    this.publish = publish;
    this.boot = random.between(1, 0xffffffff);
    this.start();
  }

  tell(text: string): void {
    this.history.push(`${String(this.time.nowMs).padStart(9)} ms  ${text}`);
  }

  power(name: string): Switch {
    const plan = PLAN.outlets[name];
    return plan === undefined ? "off" : powerOf(plan.contact, this.levels[plan.relay] === true);
  }

  receive(via: Connection, topic: string, payload: Uint8Array, retained: boolean): void {
    this.guard(() => this.site?.receive({ via, topic, payload, retained }));
  }

  jumpWall(): void {
    this.counts.wallJumps++;
    this.wallMs += this.random.between(-400 * 86_400_000, 400 * 86_400_000);
    this.guard(() => this.site?.emit({ type: "clock-read", wallMs: this.wallMs, trust: "none" }));
  }

  /** Everything inside a site runs in here: a crash ends that life and begins the next. */
  private guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.site?.stop();
      this.site = null;
      this.time.after(this.random.between(100, 20_000), () => this.start());
    }
  }

  private mayCrash(where: string): void {
    if (this.calm || !this.random.chance(this.faults.crash)) return;
    this.crash(where);
  }

  private crash(where: string): never {
    this.life++;
    this.counts.crashes++;
    if (this.random.chance(this.faults.powerCut)) {
      this.counts.powerCuts++;
      this.disk.cutPower(() => this.random.chance(0.5));
      this.boot = this.random.between(1, 0xffffffff);
      this.bootedAtMs = this.time.nowMs;
      this.tell(`power cut at ${where}`);
    } else this.tell(`killed at ${where}`);
    throw new Crash(where);
  }

  private start(): void {
    this.disk.fault = null;
    const life = ++this.life;
    const store = new JournalStore(this.disk, { captureBytes: 256 * 1024, ledgerBytes: 512 * 1024 }, () =>
      Buffer.from(this.random.hex(8), "hex"),
    );
    const durable = recoverDurable(store.recovered);
    const start = nextStart(durable, this.boot);
    this.tell(
      `start ${start}, ledger at ${durable.seq}, owed: ${durable.unsettled.map((one) => one.id).join(" ") || "none"}`,
    );
    const offer = readOffer(TRUST, KEYS);
    const inLife = (run: () => void) => {
      if (this.life === life) this.guard(run);
    };
    const edges = this.edgesOf(store, inLife);
    this.guard(() => {
      this.site = createSite({
        edges,
        clock: this.time.clock(this.bootedAtMs, inLife, () => (this.calm ? 0 : this.random.between(0, 40))),
        keys: KEYS,
        entropy: () => this.random.hex(16),
        log: () => undefined,
        started: {
          type: "started",
          plan: PLAN,
          durable,
          boot: this.boot,
          start,
          version: "sim",
          siteKey: "",
          configSha256: "",
          tracks: {},
          lines: { ...this.levels },
          trust: offer === null ? [] : [offer],
          notes: [],
        },
      });
    });
  }

  private edgesOf(store: JournalStore, inLife: (run: () => void) => void): Edges {
    const emit: Site["emit"] = (event) => this.site?.emit(event);
    return {
      journal: {
        perform: (effect) => {
          this.mayCrash("append");
          const records = effect.records.map((record) => ({ ...record, json: JSON.stringify(record) }));
          const snapshot = JSON.stringify(effect.durable);
          this.time.after(this.random.between(0, 3), () =>
            inLife(() => {
              const ok = this.tryDisk(() => store.appendLedger(records, snapshot));
              if (!effect.sync) return;
              const slow = !this.calm && this.random.chance(this.faults.slowSync);
              if (slow) this.counts.slowSyncs++;
              this.time.after(slow ? this.random.between(1_000, 15_000) : this.random.between(1, 30), () =>
                inLife(() => {
                  const synced = ok && this.tryDisk(() => store.sync("ledger"));
                  this.mayCrash("synced");
                  if (effect.token !== null) emit({ type: "append-finished", token: effect.token, ok: synced });
                  if (!synced) this.retry(store, inLife);
                }),
              );
            }),
          );
        },
      },
      relays: {
        perform: (effect) => {
          this.mayCrash("before edge");
          this.move(effect.id, effect.relay, effect.energised);
          this.mayCrash("after edge");
          this.time.after(1, () =>
            inLife(() => emit({ type: "relay-driven", token: effect.token, energised: effect.energised, fault: null })),
          );
        },
      },
      trust: { perform: (effect) => emit({ type: "trust-stored", token: effect.token, ok: true }) },
      reader: { perform: () => undefined },
      shipper: null,
      faults: null,
      link: {
        publish: (message) => {
          this.mayCrash("publish");
          this.publish(message);
        },
      },
    };
  }

  /** Like the worker: what the disk refused is tried again after a second. */
  private retry(store: JournalStore, inLife: (run: () => void) => void): void {
    this.time.after(1_000, () =>
      inLife(() => {
        const done = this.tryDisk(() => {
          store.drain();
          store.sync("ledger");
        });
        if (!done) this.retry(store, inLife);
      }),
    );
  }

  /** One refusal of the disk, told like the worker tells it. */
  private tryDisk(work: () => void): boolean {
    this.disk.fault = !this.calm && this.random.chance(this.faults.brokenDisk) ? new Error("EIO") : null;
    try {
      work();
      return true;
    } catch {
      this.counts.diskFaults++;
      return false;
    } finally {
      this.disk.fault = null;
    }
  }

  private move(id: string, relay: number, energised: boolean): void {
    const plan = Object.values(PLAN.outlets).find((one) => one.relay === relay);
    if (plan === undefined || this.levels[relay] === energised) return;
    this.levels[relay] = energised;
    const power = powerOf(plan.contact, energised);
    this.edges.push({ atMs: this.time.nowMs, id, outlet: plan.name, power });
    this.tell(`EDGE ${plan.name} ${power} by ${id}`);
  }
}
