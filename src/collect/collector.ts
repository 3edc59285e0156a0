import type { Message, Transport } from "../link/transport.ts";
import { encodeEnvelope, NAMESPACES } from "../protocol/envelope.ts";
import { parseTopic, siteRoot } from "../protocol/topics.ts";
import { Acks } from "./acks.ts";
import { TrackAlarms } from "./alarms.ts";
import type { Wish } from "./asking.ts";
import { commitAll } from "./commits.ts";
import type { Folder } from "./folder.ts";
import type { Hooks } from "./hooks.ts";
import { dayOf, STATUS_FILE } from "./layout.ts";
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
  readonly log: (line: string) => void;
  readonly pid: number;
  readonly patience?: Patience;
}

export interface Collector {
  start(): void;
  stop(): Promise<void>;
  /** For tests and measurements: everything that waits is on the disk after this. */
  flush(): Promise<void>;
  readonly sites: readonly CollectedSite[];
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
const READS_AT_ONCE = 32;
/** What may wait in memory for the disk or for what is before it, all sites together. */
const WAITING_LIMIT = 64 * 1024 * 1024;
const FAREWELL_MS = 3_000;

export function createCollector(options: CollectorOptions): Collector {
  const { fleet, folder, transport, now, hooks, log } = options;
  const sites = new Map<string, CollectedSite>();
  const alarms = new Map<Track, TrackAlarms>();
  const before = readBefore(folder);
  const startedAt = now();
  let connection = { state: "connecting", detail: "", since: startedAt };
  let disk = { state: "ok", detail: "", since: startedAt };
  let signing: string | null = null;
  let connectedAt: number | null = null;
  let waiting = 0;
  let refusedSites = 0;
  let pullAt = startedAt;
  let commitAt = startedAt;
  let committing: Promise<void> | null = null;
  let written = { at: 0, body: "" };
  let timer: NodeJS.Timeout | null = null;

  const acks = new Acks({
    receiver: options.receiver,
    sign: options.sign,
    publish: (topic, payload, retained) => transport.publish(topic, payload, retained),
    now,
    onSigned: noteSigning,
  });

  function noteSigning(problem: string | null): void {
    if (problem !== null && problem !== signing) log(`cannot sign: ${problem}`);
    signing = problem;
  }

  const siteOf = (name: string): CollectedSite | null => {
    const found = sites.get(name);
    if (found !== undefined) return found;
    if (sites.size >= SITES_LIMIT) {
      if (refusedSites++ === 0) log(`more than ${SITES_LIMIT} sites: ${name} is not collected; name sites with --site`);
      return null;
    }
    const made = new CollectedSite(
      {
        fleet,
        site: name,
        folder,
        key: options.keyOf(name),
        memory: memoryOf(before?.sites[`${fleet}/${name}`]),
        room: (bytes) => {
          waiting += bytes;
          return waiting <= WAITING_LIMIT;
        },
        tell: (event) => hooks.tell(event),
        log,
        random: options.random,
        ...(options.patience && { patience: options.patience }),
      },
      now(),
    );
    sites.set(name, made);
    return made;
  };

  const onMessage = (message: Message): void => {
    const parsed = parseTopic(message.topic);
    if (parsed === null || parsed.fleet !== fleet || message.oversized) return;
    if (options.sites !== null && !options.sites.includes(parsed.site)) return;
    const known = sites.has(parsed.site);
    const site = siteOf(parsed.site);
    if (site === null) return;
    const nowMs = now();
    const stored = message.retained && nowMs - (connectedAt ?? nowMs) < SETTLE_MS;
    const wasOnline = site.presence.state.online;
    site.message(parsed.topic, message, nowMs, stored);
    const came = site.presence.state.online === true && wasOnline !== true;
    if (!known || came || (parsed.topic.name === "up/birth" && !stored)) acks.mark(site, "again");
    if (options.pullMs !== null && parsed.topic.name === "up/birth") site.pull(nowMs);
  };

  const onStored = (site: CollectedSite, track: Track, items: readonly Item[]): void => {
    if (track.way !== "rx") return;
    const watch = alarms.get(track) ?? new TrackAlarms();
    alarms.set(track, watch);
    for (const alarm of watch.of(track.store, items, now()))
      hooks.tell({ ...alarm, fleet, site: site.site, console: track.console });
  };

  const noteDisk = (problem: string | null): void => {
    const state = problem === null ? "ok" : "failing";
    if (problem !== null) commitAt = now() + DISK_RETRY_MS;
    if (state === disk.state) return;
    disk = { state, detail: problem ?? "", since: now() };
    log(problem === null ? "the disk takes what comes again" : `nothing is acknowledged: ${problem}`);
    hooks.tell({
      type: "storage",
      at: now(),
      where: "collector",
      state: problem === null ? "ok" : "degraded",
      detail: problem ?? "",
    });
  };

  const commit = async (): Promise<void> => {
    commitAt = now() + COMMIT_MS;
    const round = { folder, now, onStored, onCommitted: (site: CollectedSite) => acks.mark(site, "new") };
    noteDisk(await commitAll([...sites.values()], round));
  };

  const commitOnce = (): Promise<void> => {
    committing ??= commit().finally(() => {
      committing = null;
    });
    return committing;
  };

  const ask = async (site: CollectedSite, wish: Wish): Promise<void> => {
    const { boot, from, to } = wish.range ?? {};
    const where = wish.console === null ? { from, to } : wish.range === null ? { last: 0 } : { boot, from, to };
    const args = { console: wish.console, ...(wish.console !== null && { track: wish.way }), ...where };
    const id = options.newId();
    const command = {
      v: 1,
      id,
      site: `${fleet}/${site.site}`,
      kind: "read",
      args,
      by: options.by,
      epoch: site.epoch ?? 0,
    };
    const body = Buffer.from(JSON.stringify(command));
    site.asking.begin(id, wish, now());
    try {
      const sigs = [await options.sign(body, NAMESPACES.command)];
      noteSigning(null);
      if (!transport.publish(site.commandTopic(), Buffer.from(encodeEnvelope({ body, sigs })), false))
        site.asking.drop();
    } catch (error) {
      noteSigning(error instanceof Error ? error.message : String(error));
    }
  };

  const askAll = (nowMs: number): void => {
    let busy = [...sites.values()].filter((site) => site.asking.busy).length;
    for (const site of sites.values()) {
      if (busy >= READS_AT_ONCE) return;
      const wish = site.wish(nowMs);
      if (wish === null) continue;
      busy++;
      void ask(site, wish);
    }
  };

  const writeStatus = (nowMs: number, pid: number | null): void => {
    const body = encodeStatus(
      { at: 0, receiver: options.receiver, pid, startedAt, connection, disk, signing, hooks: hooks.counts },
      [...sites.values()],
    );
    const due = body !== written.body ? STATUS_MS : STATUS_ANYWAY_MS;
    if (nowMs - written.at < due && pid !== null) return;
    written = { at: nowMs, body };
    try {
      folder.replace(STATUS_FILE, body.replace('"at":0', `"at":${nowMs}`));
    } catch (error) {
      if (disk.state === "ok") noteDisk(error instanceof Error ? error.message : String(error));
    }
  };

  const tick = (): void => {
    const nowMs = now();
    const settled = connectedAt !== null && nowMs - connectedAt >= SETTLE_MS;
    waiting = 0;
    for (const site of sites.values()) {
      site.tick(nowMs, settled);
      waiting += site.events.store.pendingBytes;
      for (const { intake } of site.tracks.all) waiting += intake.waitingBytes;
    }
    if (nowMs >= commitAt) void commitOnce();
    if (connectedAt !== null) {
      acks.pump();
      if (settled && options.pullMs !== null && nowMs >= pullAt) {
        pullAt = nowMs + options.pullMs;
        for (const site of sites.values()) site.pull(nowMs);
      }
      if (settled) askAll(nowMs);
    }
    writeStatus(nowMs, options.pid);
  };

  return {
    get sites() {
      return [...sites.values()];
    },
    start() {
      for (const name of options.sites ?? foldersIn(folder, fleet)) siteOf(name);
      transport.start({
        up(detail) {
          connectedAt = now();
          connection = { state: "connected", detail, since: connectedAt };
          log(`connected: ${detail}, day ${dayOf(connectedAt)}`);
          // What the broker keeps of a site comes before this: those are the ones that it knows.
          for (const site of sites.values()) if (site.presence.state.online !== null) acks.mark(site, "again");
        },
        down(detail) {
          connectedAt = null;
          connection = { state: "not connected", detail, since: now() };
          log(`not connected: ${detail}`);
          for (const site of sites.values()) site.disconnected();
        },
        message: onMessage,
      });
      timer = setInterval(tick, TICK_MS);
    },
    async flush() {
      await commitOnce();
      await commitOnce();
    },
    async stop() {
      if (timer !== null) clearInterval(timer);
      await commitOnce();
      await commitOnce();
      const until = Date.now() + FAREWELL_MS;
      for (acks.pump(); connectedAt !== null && !acks.idle && Date.now() < until; acks.pump()) await pause(50);
      await transport.stop();
      writeStatus(now(), null);
      await hooks.stop();
    },
  };
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
