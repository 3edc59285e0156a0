import type { LedgerRecord } from "../../src/core/ledger.ts";
import { powerOf, type Switch } from "../../src/core/plan.ts";
import { createMemoryDisk, type MemoryDisk } from "../../src/disk/memory-disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import type { Edges, Outgoing } from "../../src/site/edges.ts";
import { readOffer } from "../../src/site/inbox.ts";
import { nextStart, recoverChain, recoverDurable } from "../../src/site/recover.ts";
import { createSite, type Site } from "../../src/site/site.ts";
import { Hardware } from "./hardware.ts";
import { FIRST_TRUST, SITE_KEYS } from "./people.ts";
import { PLAN } from "./plan.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./time.ts";

/** A site that can crash at any effect, with its disk and its relays, in virtual time. The site itself is the real one. */

export interface Faults {
  /** Probability of a crash at each effect. */
  readonly crash: number;
  /** Of those, how many take the kernel down as well, and of these, how many were a loss of the mains. */
  readonly reboot: number;
  readonly mainsLost: number;
  readonly slowSync: number;
  readonly brokenDisk: number;
}

export interface Edge {
  readonly atMs: number;
  readonly id: string;
  readonly outlet: string;
  readonly power: Switch;
  /** Which life of the program drove it. */
  readonly life: number;
}

export interface Listener {
  published(message: Outgoing): void;
  moved(edge: Edge): void;
  /** Each time that the site asks for an edge, whether or not the relay follows. */
  driven(edge: Edge): void;
  /** After each piece of the site's work. */
  worked(): void;
  /** Bytes that reach the site, and records that it hands to its journal. */
  arrived(payload: Uint8Array, retained: boolean): void;
  recorded(records: readonly LedgerRecord[]): void;
}

class Crash extends Error {}

const ROOT = siteRoot("sim", "one");

export class World {
  readonly edges: Edge[] = [];
  readonly history: string[] = [];
  readonly counts = { crashes: 0, reboots: 0, mainsLost: 0, slowSyncs: 0, diskFaults: 0, wallJumps: 0, relayFaults: 0 };
  readonly hardware: Hardware;
  site: Site | null = null;
  life = 0;
  calm = false;
  private readonly disk: MemoryDisk = createMemoryDisk();
  /** Of the machine; another one after each reset. */
  boot: number;
  private bootedAtMs = 0;
  private stored = FIRST_TRUST;
  powerWas: "kept" | "lost" | "unknown" = "unknown";
  private workerMs = 0;
  private wallMs = 1_700_000_000_000;
  readonly time: VirtualTime;
  private readonly random: Random;
  private readonly faults: Faults;
  private readonly listener: Listener;

  constructor(time: VirtualTime, random: Random, faults: Faults, listener: Listener) {
    this.time = time;
    this.random = random;
    this.faults = faults;
    this.listener = listener;
    this.boot = random.between(1, 0xffffffff);
    this.hardware = new Hardware(time, random, (input, present) =>
      this.guard(() => this.site?.emit({ type: "input-sensed", input, present })),
    );
    this.start();
  }

  tell(text: string): void {
    this.history.push(`${String(this.time.nowMs).padStart(9)} ms  ${text}`);
  }

  receive(via: "lte" | "primary" | "local", payload: Uint8Array, retained: boolean): void {
    if (this.site !== null) this.listener.arrived(payload, retained);
    this.guard(() => this.site?.receive({ via, topic: `${ROOT}/dn/command`, payload, retained }));
  }

  /** A clock that nobody vouches for jumps by years; one that somebody vouches for is right. */
  jumpWall(): void {
    this.counts.wallJumps++;
    const trusted = this.random.chance(0.3);
    if (!trusted) this.wallMs += this.random.between(-400 * 86_400_000, 400 * 86_400_000);
    const wallMs = trusted ? 1_700_000_000_000 + this.time.nowMs : this.wallMs;
    this.guard(() => this.site?.emit({ type: "clock-read", wallMs, trust: trusted ? "ntp" : "none" }));
  }

  flapLink(): void {
    for (const state of ["down", "up"] as const)
      this.guard(() => this.site?.emit({ type: "link-changed", connection: "lte", state, detail: "" }));
  }

  climbLadder(id: string): void {
    const order = { actor: "local:modem-ladder", verb: "cycle", target: ":a4", reason: "no registration" } as const;
    this.guard(() => this.site?.emit({ type: "actor-ordered", id, ...order }));
  }

  breakSomething(): void {
    this.counts.relayFaults++;
    this.hardware.breakSomething();
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
    this.listener.worked();
  }

  private mayCrash(where: string): void {
    if (this.calm || !this.random.chance(this.faults.crash)) return;
    this.crash(where);
  }

  private crash(where: string): never {
    this.life++;
    this.counts.crashes++;
    if (this.random.chance(this.faults.reboot)) this.reboot(where);
    else this.tell(`killed at ${where}`);
    throw new Crash(where);
  }

  private reboot(where: string): void {
    const lost = this.random.chance(this.faults.mainsLost);
    this.counts[lost ? "mainsLost" : "reboots"]++;
    this.disk.cutPower(() => this.random.chance(0.5));
    this.boot = this.random.between(1, 0xffffffff);
    this.bootedAtMs = this.time.nowMs;
    this.powerWas = this.random.chance(0.3) ? "unknown" : lost ? "lost" : "kept";
    // Some machines keep their relays through a reset, none without mains.
    if (lost || this.random.chance(0.5)) this.hardware.release();
    this.tell(`${lost ? "mains lost" : "machine reset"} at ${where}, known as ${this.powerWas}`);
  }

  private start(): void {
    this.disk.fault = null;
    const life = ++this.life;
    const store = new JournalStore(this.disk, { captureBytes: 256 * 1024, ledgerBytes: 512 * 1024 }, () =>
      Buffer.from(this.random.hex(8), "hex"),
    );
    const durable = recoverDurable(store.recovered);
    const start = nextStart(durable, this.boot);
    const owed = durable.unsettled.map((one) => one.id).join(" ") || "none";
    this.tell(`start ${start}, ledger at ${durable.seq}, owed: ${owed}`);
    const inLife = (run: () => void) => {
      if (this.life === life) this.guard(run);
    };
    this.guard(() => this.begin(store, durable, start, inLife));
    this.hardware.tellAll();
  }

  private begin(
    store: JournalStore,
    durable: ReturnType<typeof recoverDurable>,
    start: number,
    inLife: (run: () => void) => void,
  ): void {
    const offers = [this.stored, FIRST_TRUST].flatMap((text) => readOffer(text, SITE_KEYS) ?? []);
    this.site = createSite({
      edges: this.edgesOf(store, inLife),
      clock: this.time.clock(this.bootedAtMs, inLife, () => (this.calm ? 0 : this.random.between(0, 40))),
      keys: SITE_KEYS,
      entropy: () => this.random.hex(16),
      log: () => undefined,
      chain: recoverChain(store.recovered, durable),
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
        lines: { ...this.hardware.lines },
        power: this.powerWas,
        trust: offers,
        notes: [],
      },
    });
  }

  private edgesOf(store: JournalStore, inLife: (run: () => void) => void): Edges {
    const emit: Site["emit"] = (event) => this.site?.emit(event);
    return {
      journal: { perform: (effect, texts) => this.append(store, effect, texts, inLife) },
      relays: {
        perform: ({ token, id, relay, energised }) => {
          this.mayCrash("before edge");
          const answer = this.drive(id, relay, energised);
          this.mayCrash("after edge");
          if (answer !== null) this.time.after(1, () => inLife(() => emit({ type: "relay-driven", token, ...answer })));
        },
      },
      trust: {
        perform: ({ token, envelope }) => {
          this.mayCrash("before the trust is stored");
          this.stored = envelope;
          this.mayCrash("after the trust is stored");
          emit({ type: "trust-stored", token, ok: true });
        },
      },
      reader: { perform: () => undefined },
      shipper: null,
      streams: null,
      modem: null,
      faults: null,
      link: {
        publish: (message) => {
          this.mayCrash("publish");
          this.listener.published(message);
        },
      },
    };
  }

  private append(
    store: JournalStore,
    effect: Parameters<Edges["journal"]["perform"]>[0],
    texts: readonly string[],
    inLife: (run: () => void) => void,
  ): void {
    this.mayCrash("append");
    this.listener.recorded(effect.records);
    const records = effect.records.map((record, index) => ({ ...record, json: texts[index] ?? "" }));
    const snapshot = JSON.stringify(effect.durable);
    const finished = (ok: boolean): void => {
      if (effect.token !== null) this.site?.emit({ type: "append-finished", token: effect.token, ok });
      if (!ok) this.retry(store, inLife);
    };
    // The worker takes them one after the other.
    this.workerMs = Math.max(this.workerMs, this.time.nowMs + this.random.between(0, 3));
    this.time.after(this.workerMs - this.time.nowMs, () =>
      inLife(() => {
        const ok = this.tryDisk(() => store.appendLedger(records, snapshot));
        if (!effect.sync) return finished(ok);
        const slow = !this.calm && this.random.chance(this.faults.slowSync);
        if (slow) this.counts.slowSyncs++;
        this.time.after(slow ? this.random.between(1_000, 15_000) : this.random.between(1, 30), () =>
          inLife(() => {
            const synced = ok && this.tryDisk(() => store.sync("ledger"));
            this.mayCrash("synced");
            finished(synced);
          }),
        );
      }),
    );
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

  private drive(id: string, relay: number, energised: boolean): ReturnType<Hardware["drive"]> {
    const before = this.hardware.lines[relay];
    const answer = this.hardware.drive(relay, energised);
    const outlet = Object.values(PLAN.outlets).find((one) => one.relay === relay);
    if (outlet === undefined) return answer;
    const edge = {
      atMs: this.time.nowMs,
      id,
      outlet: outlet.name,
      power: powerOf(outlet.contact, energised),
      life: this.life,
    };
    this.listener.driven(edge);
    if (this.hardware.lines[relay] === before) return answer;
    this.edges.push(edge);
    this.tell(`EDGE ${edge.outlet} ${edge.power} by ${id}`);
    this.listener.moved(edge);
    return answer;
  }
}
