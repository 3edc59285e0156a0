import type { Message, Transport } from "../link/transport.ts";
import { encodeEnvelope, NAMESPACES } from "../protocol/envelope.ts";
import { parseTopic, siteRoot, topicText } from "../protocol/topics.ts";
import { Acks } from "./acks.ts";
import { TrackAlarms } from "./alarms.ts";
import type { Wish } from "./asking.ts";
import { commitAll } from "./commits.ts";
import { diskProblem, type Folder } from "./folder.ts";
import type { Hooks } from "./hooks.ts";
import { STATUS_FILE } from "./layout.ts";
import { CollectedSite } from "./site.ts";
import { encodeStatus, memoryOf, readStatusFile, type StatusFile } from "./status.ts";
import type { Item } from "./track-store.ts";
import type { Track } from "./tracks.ts";
import type { Patience } from "./wishes.ts";

/** The receiving side of many sites: stores what they ship, acknowledges what is synced, asks for what is missing. */

export interface CollectorOptions {
  readonly fleet: string;
  /** Null: every site of the fleet. */
  readonly sites: readonly string[] | null;
  readonly receiver: string;
  readonly folder: Folder;
  readonly transport: Transport;
  /** Fingerprint of a site's key; null when it is not known. */
  readonly keyOf: (site: string) => string | null;
  /** A list of sites is believed: what no site of it says is not stored. */
  readonly onlyKnown?: () => boolean;
  /** Signs with the receiver's key. */
  readonly sign: (message: Uint8Array, namespace: string) => Promise<Uint8Array>;
  /** The operator whose key that is. */
  readonly by: string;
  readonly newId: () => string;
  readonly hooks: Hooks;
  /** Also fetch what sites do not ship by themselves, this often; null: do not. */
  readonly pullMs: number | null;
  readonly now: () => number;
  readonly random: () => number;
  /** Calls again and again until the returned function is called. */
  readonly repeat: (work: () => void, everyMs: number) => () => void;
  readonly log: (line: string) => void;
  readonly pid: number;
  readonly patience?: Patience;
}

/** What subscribing must deliver; `up/stream` is somebody's session and not ours. */
export function filtersFor(fleet: string, sites: readonly string[] | null): string[] {
  const tails = ["link/+", "birth", "state", "telemetry", "event", "capture/+/+", "reply"];
  const roots = sites === null ? [`towpath/1/+/${fleet}/+`] : sites.map((site) => siteRoot(fleet, site));
  return roots.flatMap((root) => tails.map((tail) => `${root}/up/${tail}`));
}

const TICK_MS = 250;
const COMMIT_MS = 1_000;
const DISK_RETRY_MS = 5_000;
const STATUS_MS = 5_000;
const STATUS_ANYWAY_MS = 30_000;
/** How long after connecting what the broker had kept is still coming. */
const SETTLE_MS = 3_000;
const SITES_LIMIT = 5_000;
/** Sites without a known key, unless they are named. */
const UNVERIFIED_LIMIT = 250;
const READS_AT_ONCE = 32;
/** What may wait in memory for the disk or for what is before it, all sites together. */
const WAITING_LIMIT = 64 * 1024 * 1024;
const FAREWELL_MS = 3_000;

export class Collector {
  private readonly options: CollectorOptions;
  private readonly known = new Map<string, CollectedSite>();
  private readonly unreadable = new Map<string, string>();
  private readonly alarms = new Map<Track, TrackAlarms>();
  private readonly acks: Acks;
  private readonly before: StatusFile | null;
  private readonly startedAt: number;
  private connection: Since;
  private disk: Since;
  private signing: string | null = null;
  private connectedAt: number | null = null;
  private waiting = 0;
  /** Messages in the names of sites that are not collected. */
  private strangers = 0;
  private pullAt: number;
  private commitAt: number;
  private committing: Promise<void> | null = null;
  private written = { at: 0, body: "" };
  private end: () => void = () => undefined;

  constructor(options: CollectorOptions) {
    const { folder, transport, now } = options;
    this.options = options;
    this.before = readBefore(folder);
    this.startedAt = now();
    this.pullAt = this.startedAt;
    this.commitAt = this.startedAt;
    this.connection = { state: "connecting", detail: "", since: this.startedAt };
    this.disk = { state: "ok", detail: "", since: this.startedAt };
    this.acks = new Acks({
      receiver: options.receiver,
      sign: options.sign,
      publish: (topic, payload, retained) => transport.publish(topic, payload, retained),
      now,
      onSigned: (problem) => this.noteSigning(problem),
    });
  }

  get sites(): readonly CollectedSite[] {
    return [...this.known.values()];
  }

  /** Opens what is there already, and connects. */
  start(): void {
    const { options } = this;
    for (const name of options.sites ?? foldersIn(options.folder, options.fleet)) this.siteOf(name);
    options.transport.start({
      up: (detail) => this.onUp(detail),
      down: (detail) => this.onDown(detail),
      message: (message) => this.onMessage(message),
    });
    this.end = options.repeat(() => this.tick(), TICK_MS);
  }

  /** Everything that waits is on the disk after this, if the disk takes it. */
  async flush(): Promise<void> {
    await this.commitOnce();
    // What came while the first round was under way.
    await this.commitOnce();
  }

  async stop(): Promise<void> {
    this.end();
    await this.flush();
    const until = Date.now() + FAREWELL_MS;
    for (this.acks.pump(); this.connectedAt !== null && !this.acks.idle && Date.now() < until; this.acks.pump())
      await pause(50);
    await this.options.transport.stop();
    this.writeStatus(this.options.now(), null);
    await this.options.hooks.stop();
  }

  private onUp(detail: string): void {
    this.connectedAt = this.options.now();
    this.connection = { state: "connected", detail, since: this.connectedAt };
    this.options.log(`connected: ${detail}`);
    // What the broker keeps of a site comes before this: those are the ones that it knows.
    for (const site of this.known.values()) if (site.presence.state.online !== null) this.acks.mark(site, "again");
  }

  private onDown(detail: string): void {
    this.connectedAt = null;
    this.connection = { state: "not connected", detail, since: this.options.now() };
    this.options.log(`not connected: ${detail}`);
    for (const site of this.known.values()) site.disconnected();
  }

  private onMessage(message: Message): void {
    const { fleet, sites, now, pullMs } = this.options;
    const parsed = parseTopic(message.topic);
    if (parsed === null || parsed.fleet !== fleet || message.oversized) return;
    if (sites !== null && !sites.includes(parsed.site)) return;
    const isNew = !this.known.has(parsed.site);
    const site = this.siteOf(parsed.site);
    if (site === null) return;
    const nowMs = now();
    const stored = message.retained && nowMs - (this.connectedAt ?? nowMs) < SETTLE_MS;
    const wasOnline = site.presence.state.online;
    site.message(parsed.topic, message, nowMs, stored);
    const came = site.presence.state.online === true && wasOnline !== true;
    const born = parsed.topic.name === "up/birth";
    if (isNew || came || (born && !stored)) this.acks.mark(site, "again");
    if (born && pullMs !== null) site.pull(nowMs);
  }

  private siteOf(name: string): CollectedSite | null {
    const found = this.known.get(name);
    if (found !== undefined) return found;
    const { log } = this.options;
    if (this.known.size >= SITES_LIMIT || this.unreadable.has(name) || this.isStranger(name)) return null;
    const made = this.open(name);
    if (made === null) return null;
    this.known.set(name, made);
    if (this.known.size === SITES_LIMIT) log(`${SITES_LIMIT} sites: no more are collected; name sites with --site`);
    return made;
  }

  /** Anybody who may publish can invent names of sites: each would have a folder, and in it what they like. */
  private isStranger(name: string): boolean {
    const { sites, keyOf, onlyKnown = () => false, log, fleet } = this.options;
    if (sites?.includes(name) === true || keyOf(name) !== null) return false;
    const unverified = this.sites.filter(({ verified }) => verified === null).length;
    if (!onlyKnown() && unverified < UNVERIFIED_LIMIT) return false;
    if (this.strangers++ % 1_000 === 0)
      log(
        onlyKnown()
          ? `${fleet}/${name} is not in the list of sites and is not collected: towpath trust site, or --site ${name}`
          : `${fleet}/${name}: ${UNVERIFIED_LIMIT} sites without a known key are collected, no more: name it with --site`,
      );
    return true;
  }

  /** One site whose files the disk does not give must not end the others. */
  private open(name: string): CollectedSite | null {
    const { fleet, log } = this.options;
    try {
      return this.make(name);
    } catch (error) {
      const problem = diskProblem(error);
      this.unreadable.set(name, problem);
      log(`${fleet}/${name} cannot be read: ${problem}; it is not collected until that is mended and this restarts`);
      return null;
    }
  }

  private make(name: string): CollectedSite {
    const { fleet, folder, keyOf, hooks, log, random, patience, now } = this.options;
    return new CollectedSite(
      {
        fleet,
        site: name,
        folder,
        key: () => keyOf(name),
        memory: memoryOf(this.before?.sites[`${fleet}/${name}`]),
        room: (bytes) => this.takeRoom(bytes),
        tell: (event) => hooks.tell(event),
        log,
        random,
        ...(patience && { patience }),
      },
      now(),
    );
  }

  private takeRoom(bytes: number): boolean {
    this.waiting += bytes;
    return this.waiting <= WAITING_LIMIT;
  }

  private tick(): void {
    const { now, pullMs, pid } = this.options;
    const nowMs = now();
    const settled = this.connectedAt !== null && nowMs - this.connectedAt >= SETTLE_MS;
    this.waiting = 0;
    for (const site of this.known.values()) {
      site.tick(nowMs, settled ? this.connectedAt : null);
      this.waiting += site.waitingBytes;
    }
    if (nowMs >= this.commitAt) void this.commitOnce();
    if (this.connectedAt !== null) this.acks.pump();
    if (settled && pullMs !== null && nowMs >= this.pullAt) {
      this.pullAt = nowMs + pullMs;
      for (const site of this.known.values()) site.pull(nowMs);
    }
    if (settled) this.askAll(nowMs);
    this.writeStatus(nowMs, pid);
  }

  private askAll(nowMs: number): void {
    let busy = this.sites.filter((site) => site.asking.busy).length;
    for (const site of this.known.values()) {
      if (busy >= READS_AT_ONCE) return;
      const wish = site.wish(nowMs);
      if (wish === null) continue;
      busy++;
      void this.ask(site, wish);
    }
  }

  private async ask(site: CollectedSite, wish: Wish): Promise<void> {
    const { newId, now, sign, transport } = this.options;
    const id = newId();
    const body = Buffer.from(JSON.stringify(this.commandFor(site, wish, id)));
    site.asking.begin(id, wish, now());
    try {
      const sigs = [await sign(body, NAMESPACES.command)];
      this.noteSigning(null);
      const sent = transport.publish(
        topicText(site.root, { name: "dn/command" }),
        Buffer.from(encodeEnvelope({ body, sigs })),
        false,
      );
      if (!sent) site.asking.drop();
    } catch (error) {
      this.noteSigning(error instanceof Error ? error.message : String(error));
    }
  }

  private commandFor(site: CollectedSite, { console, way, range, proof = false }: Wish, id: string): object {
    const { fleet, by } = this.options;
    const { boot, from, to } = range ?? {};
    const where = range === null ? { last: 0 } : console === null ? { from, to } : { boot, from, to };
    const args = { console, ...(console !== null && { track: way }), ...where, ...(proof && { proof }) };
    // The site's own epoch: a receiver of many sites must not wait until each has the newest trust.
    return { v: 1, id, site: `${fleet}/${site.site}`, kind: "read", args, by, epoch: site.epoch ?? 0 };
  }

  private noteSigning(problem: string | null): void {
    if (problem !== null && problem !== this.signing) this.options.log(`cannot sign: ${problem}`);
    this.signing = problem;
  }

  private commitOnce(): Promise<void> {
    this.committing ??= this.commit().finally(() => {
      this.committing = null;
    });
    return this.committing;
  }

  private async commit(): Promise<void> {
    const { folder, now } = this.options;
    this.commitAt = now() + COMMIT_MS;
    const problem = await commitAll(this.sites, {
      folder,
      now,
      onStored: (site, track, items) => this.onStored(site, track, items),
      onCommitted: (site) => this.acks.mark(site, "new"),
    });
    if (problem !== "nothing") this.noteDisk(problem);
  }

  private onStored(site: CollectedSite, track: Track, items: readonly Item[]): void {
    if (track.way !== "rx") return;
    const { fleet, hooks, now } = this.options;
    const watch = this.alarms.get(track) ?? new TrackAlarms();
    this.alarms.set(track, watch);
    for (const alarm of watch.of(track.store, items, now()))
      hooks.tell({ ...alarm, fleet, site: site.site, console: track.console });
  }

  private noteDisk(problem: string | null): void {
    const { now, log, hooks } = this.options;
    if (problem !== null) this.commitAt = now() + DISK_RETRY_MS;
    if ((problem === null) === (this.disk.state === "ok")) return;
    const detail = problem ?? "";
    this.disk = { state: problem === null ? "ok" : "failing", detail, since: now() };
    log(problem === null ? "the disk takes what comes again" : `nothing is acknowledged: ${problem}`);
    hooks.tell({
      type: "storage",
      at: now(),
      where: "collector",
      state: problem === null ? "ok" : "degraded",
      detail,
    });
  }

  private writeStatus(nowMs: number, pid: number | null): void {
    const { fleet, receiver, hooks, folder } = this.options;
    if (nowMs - this.written.at < STATUS_MS && pid !== null) return;
    const { startedAt, connection, disk, signing } = this;
    const unreadable = Object.fromEntries([...this.unreadable].map(([site, why]) => [`${fleet}/${site}`, why]));
    const body = encodeStatus(
      { at: 0, receiver, pid, startedAt, connection, disk, signing, hooks: hooks.counts, unreadable },
      this.sites,
    );
    const due = body !== this.written.body ? STATUS_MS : STATUS_ANYWAY_MS;
    if (nowMs - this.written.at < due && pid !== null) return;
    this.written = { at: nowMs, body };
    try {
      folder.replace(STATUS_FILE, body.replace('"at":0', `"at":${nowMs}`));
      // Nothing waits that could show it otherwise.
      if (this.waiting === 0) this.noteDisk(null);
    } catch (error) {
      this.noteDisk(error instanceof Error ? error.message : String(error));
    }
  }
}

interface Since {
  readonly state: string;
  readonly detail: string;
  readonly since: number;
}

function readBefore(folder: Folder): StatusFile | null {
  const size = folder.size(STATUS_FILE);
  return size === 0 ? null : readStatusFile(folder.read(STATUS_FILE, 0, size));
}

/** Sites that were collected before: also those that say nothing today have a status. */
function foldersIn(folder: Folder, fleet: string): string[] {
  return folder.list(fleet).filter((name) => parseTopic(`${siteRoot(fleet, name)}/up/birth`) !== null);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
