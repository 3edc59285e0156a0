import { decodeStatement } from "../access/statement.ts";
import type { Message } from "../link/transport.ts";
import { chunkHead } from "../protocol/chunk.ts";
import { parseJson } from "../protocol/envelope.ts";
import { type SiteTopic, siteRoot } from "../protocol/topics.ts";
import { type Answered, Asking, type Done, problemOf, type Wish } from "./asking.ts";
import { Backoffs } from "./backoffs.ts";
import { SiteClocks } from "./clocks.ts";
import { EventsIntake } from "./events-intake.ts";
import { asLedgerLine, EventsStore, type LedgerLine } from "./events-store.ts";
import type { Folder } from "./folder.ts";
import type { HookEvent } from "./hooks.ts";
import { eventsFile, parseTrackFolder, siteFolder, type Way } from "./layout.ts";
import { type RangeAnswer, readAnswer, readBirth, readGapRecord, readPresence, readState } from "./messages.ts";
import { SitePresence } from "./presence.ts";
import { Probing } from "./probing.ts";
import { Stamps } from "./stamps.ts";
import type { SiteMemory } from "./status.ts";
import { NamedBoots, type Track, Tracks } from "./tracks.ts";
import { nextWish, PATIENCE, type Patience, subjectOf } from "./wishes.ts";

/** One site as the receiving side sees it: everything that it says goes through here. */

export interface SiteOptions {
  readonly fleet: string;
  readonly site: string;
  readonly folder: Folder;
  /** Fingerprint of the site's key, which may become known later; null when it is not. */
  readonly key: () => string | null;
  /** What was known of it when the service ended. */
  readonly memory: SiteMemory | null;
  readonly room: (bytes: number) => boolean;
  readonly tell: (event: HookEvent) => void;
  readonly log: (line: string) => void;
  readonly random: () => number;
  readonly patience?: Patience;
}

const TRIMMED_MS = 30_000;

type Json = Readonly<Record<string, unknown>>;

export class CollectedSite {
  readonly root: string;
  readonly fleet: string;
  readonly site: string;
  readonly events: EventsIntake;
  readonly tracks: Tracks;
  readonly presence: SitePresence;
  readonly asking: Asking;
  readonly backoffs: Backoffs;
  readonly boots = new NamedBoots();
  storage: { readonly state: "ok" | "degraded"; readonly detail: string } | null;
  /** Of the trust document that the site has. */
  epoch: number | null = null;
  /** Statements that its key did not sign. */
  forged: number;
  forgedAt: number | null;
  ackedAt: number | null;
  /** When its ledger was found to be another one, and how far the one before went. */
  renumbered: SiteMemory["renumbered"];
  private readonly options: SiteOptions;
  private readonly clocks = new SiteClocks();
  private readonly stamps = new Stamps();
  private consoles: readonly string[] = [];
  private unverifiedSaid = false;
  private readonly probing = new Probing();
  /** Boots that the site refused to read, by track. */
  private readonly doubted = new Set<string>();

  constructor(options: SiteOptions, nowMs: number) {
    const { fleet, site, folder, memory, room } = options;
    this.options = options;
    this.fleet = fleet;
    this.site = site;
    this.root = siteRoot(fleet, site);
    this.presence = new SitePresence(memory?.presence ?? { online: null, since: null, heard: null });
    this.storage = memory?.storage ?? null;
    this.forged = memory?.forged ?? 0;
    this.forgedAt = memory?.forgedAt ?? null;
    this.ackedAt = memory?.ackedAt ?? null;
    this.renumbered = memory?.renumbered ?? null;
    this.asking = new Asking(options.random);
    this.backoffs = new Backoffs(options.random);
    const path = siteFolder(fleet, site);
    const store = new EventsStore(folder, eventsFile(path));
    for (const record of store.tail) this.clocks.learnFrom(record);
    this.events = new EventsIntake(store, memory?.eventsLost ?? 0, nowMs, (record, heard) =>
      this.onRecord(record, heard),
    );
    this.events.lostAt = memory?.eventsLostAt ?? null;
    this.tracks = new Tracks({
      folder,
      siteFolder: path,
      wallOf: (boot, monoMs) => this.clocks.wallOf(boot, monoMs),
      room,
      log: options.log,
      onPiece: (console, way, chunk) => this.asking.onPiece(console, way, chunk, this.nowMs),
    });
  }

  /** Null: no key is known, so nothing it says can be checked. */
  get verified(): true | null {
    return this.options.key() === null ? null : true;
  }

  private nowMs = 0;
  /** @param stored the broker kept it: it tells nothing of now. */
  message(topic: SiteTopic, message: Message, nowMs: number, stored: boolean): void {
    this.nowMs = nowMs;
    if (!stored && topic.name !== "up/link/{uplink}") this.presence.hear(nowMs);
    switch (topic.name) {
      case "up/link/{uplink}":
        return this.onLink(topic.uplink, message, nowMs, stored);
      case "up/birth":
      case "up/state":
      case "up/reply":
        return this.onStatement(topic.name, message, nowMs);
      case "up/event":
        return this.onRecords(parseJson(message.payload), nowMs);
      case "up/capture/{console}/{track}":
        return this.onChunk(topic.console, topic.track, message.payload, nowMs);
      default:
        return;
    }
  }

  /** The connection to the broker is lost: what was asked is too, and what others say will be told again. */
  disconnected(): void {
    this.asking.drop();
    this.presence.forgetConnections();
    this.probing.interrupted();
  }

  /** What to ask for now, if anything. */
  wish(nowMs: number): Wish | null {
    if (this.presence.state.online !== true || !this.asking.ready(nowMs)) return null;
    const { patience = PATIENCE } = this.options;
    const waits = (subject: string): boolean => this.backoffs.waits(subject, nowMs) || this.presence.spares(subject);
    const wish = nextWish(this.tracks.all, this.events, this.asking.rangeBytes, nowMs, patience, waits);
    const { boot } = this.stamps;
    if (wish === null || boot === null) return wish;
    const store = wish.console === null ? null : this.tracks.get(wish.console, wish.way)?.store;
    return { ...wish, had: { boot, next: store?.committedOf(boot) ?? this.events.store.committed } };
  }

  /** Time went on. @param listeningSince since when what the broker had kept is here; null: it is not yet. */
  tick(nowMs: number, listeningSince: number | null): void {
    if (listeningSince !== null) {
      this.judgePresence(nowMs);
      const change = this.presence.judgeQuiet(nowMs, listeningSince);
      if (change === "quiet") this.tell({ type: "offline", at: nowMs, why: "silent, though the broker says online" });
      else if (change === "heard") this.tell({ type: "online", at: nowMs });
    }
    const done = this.asking.check(nowMs);
    if (done !== null) this.onDone(done, nowMs);
  }

  /** Bytes that wait in memory for the disk, or for what is before them. */
  get waitingBytes(): number {
    return this.tracks.all.reduce((sum, { intake }) => sum + intake.waitingBytes, this.events.waitingBytes);
  }

  /** Asks how far every console goes, whether it ships or not. */
  pull(nowMs: number): void {
    for (const console of this.consoles) this.probe(this.tracks.get(console, "rx"), nowMs, true);
    for (const track of this.tracks.all) this.probe(track, nowMs, true);
  }

  private probe(track: Track | null, nowMs: number, pulled: boolean): void {
    if (track === null) return;
    track.probeAt ??= nowMs;
    track.pulled ||= pulled;
  }

  private onLink(uplink: string, message: Message, nowMs: number, stored: boolean): void {
    const said = readPresence(parseJson(message.payload));
    if (said === null) return;
    // The broker says `offline` in its name: only `online` is the site's own word.
    if (said.state === "online" && !stored) this.presence.hear(nowMs);
    this.presence.say(uplink, said);
    // Of several connections each is told in turn: what was kept counts when all of it is here.
    if (!stored) this.judgePresence(nowMs);
  }

  private judgePresence(nowMs: number): void {
    const before = this.presence.state.online;
    if (!this.presence.judge(nowMs)) return;
    const { online } = this.presence.state;
    if (before !== null || online === false) this.tell({ type: online === true ? "online" : "offline", at: nowMs });
  }

  private onStatement(name: "up/birth" | "up/state" | "up/reply", message: Message, nowMs: number): void {
    const statement = decodeStatement(message, this.options.key());
    if (statement?.verified === false) return this.onForged(name);
    if (statement === null) return;
    if (statement.verified === null && !this.unverifiedSaid) {
      this.unverifiedSaid = true;
      this.options.log(`unverified: no key is known for ${this.site}; add it with \`towpath trust site\``);
    }
    const { body } = statement;
    const { boot } = this.stamps.isNews(name, body) ? this.stamps : { boot: null };
    if (boot === null) return;
    this.boots.name([boot]);
    if (name === "up/birth") this.onBirth(body, nowMs);
    else if (name === "up/state") this.onState(body, nowMs);
    else this.onReply(body, nowMs);
  }

  /** The first and each further hundredth: whoever may publish could fill the log. */
  private onForged(name: string, count = 1): void {
    const before = this.forged;
    this.forgedAt = this.nowMs;
    this.forged += count;
    if (before === 0 || Math.floor(before / 100) < Math.floor(this.forged / 100))
      this.options.log(`${this.site}: ${name} is not signed by its key (reply.unverified), ${this.forged} so far`);
  }

  private onBirth(body: Json, nowMs: number): void {
    const birth = readBirth(body);
    if (birth === null) return;
    const heads = Object.entries(birth.tracks);
    const recorded = heads.flatMap(([track]) => parseTrackFolder(track.replace("/", "."))?.console ?? []);
    this.consoles = [...new Set([...birth.consoles, ...recorded])];
    this.boots.name([...birth.boots, ...heads.map(([, head]) => head.boot)].reverse());
    this.epoch = birth.trust?.epoch ?? this.epoch;
    const head = birth.ledger === undefined ? null : birth.ledger.seq + 1;
    if (head !== null) this.events.tellHead(head, nowMs);
    // The broker's copy may be old: only an answer tells whether the ledger is another one.
    if (head !== null && head < this.events.store.committed) this.events.probeAt ??= nowMs;
    const at = this.probing.born(body, nowMs);
    if (at === null) return;
    for (const track of this.tracks.all) if (track.ships || track.store.held.bytes > 0) this.probe(track, at, false);
  }

  private onState(body: Json, nowMs: number): void {
    const state = readState(body);
    const { boot } = this.stamps;
    if (state === null || boot === null) return;
    const { storage, clock, trust } = state.site;
    if (state.wall !== null) this.clocks.learn(boot, state.mono, state.wall, clock?.trust);
    this.epoch = trust?.epoch ?? this.epoch;
    const before = this.storage?.state;
    if (storage === undefined) return;
    this.storage = storage;
    const changed = before === undefined ? storage.state === "degraded" : before !== storage.state;
    if (changed) this.tell({ type: "storage", at: nowMs, where: "site", ...storage });
  }

  private onReply(body: Json, nowMs: number): void {
    const answer = readAnswer(body);
    const done = answer && this.asking.onAnswer(answer.id, answer.phase, answer.code, body, nowMs);
    if (done !== null) this.onDone(done, nowMs);
  }

  private onRecords(said: unknown, nowMs: number): void {
    const records = typeof said === "object" && said !== null && "records" in said ? said.records : null;
    for (const one of Array.isArray(records) ? records : []) {
      const record = asLedgerLine(one);
      if (record === null || !this.options.room(256)) continue;
      this.asking.onRecord(record, nowMs);
      this.events.hear(record, nowMs);
    }
  }

  /** A record that is stored now, in its order. */
  private onRecord(record: LedgerLine, nowMs: number): void {
    this.clocks.learnFrom(record);
    const gap = readGapRecord(record);
    if (gap === null) return;
    const track = this.tracks.get(gap.console, gap.track);
    if (track === null || !this.boots.has(gap.boot)) return;
    // One of known length stands in the way of what follows: the signed answer to the next read tells it in its place.
    if (gap.length !== null) return track.intake.tellHead(gap.boot, gap.offset + gap.length, nowMs);
    const { cause, length, offset, count, mono } = gap;
    track.intake.declare(gap.boot, [{ cause, length, offset, monoMs: mono, count }], nowMs);
  }

  private onChunk(console: string, way: Way, payload: Uint8Array, nowMs: number): void {
    const head = chunkHead(payload);
    const track = head !== null && this.consoles.includes(console) ? this.tracks.get(console, way) : null;
    if (head === null || track === null) return;
    if (!this.boots.has(head.boot)) return this.probe(track, nowMs, false);
    if (!track.ships && !this.asking.busy) {
      track.ships = true;
      this.probe(track, nowMs, false);
    }
    track.intake.chunk(payload, nowMs);
  }

  private onDone({ wish, answered }: Done, nowMs: number): void {
    const track = wish.console === null ? null : this.tracks.get(wish.console, wish.way);
    const well = answered.kind !== "refused" && answered.kind !== "silent" && answered.whole;
    if (well) this.backoffs.answered(subjectOf(wish), wish.range !== null);
    else this.backoffs.postpone(subjectOf(wish), problemOf(answered), nowMs);
    if (wish.range === null) (track ?? this.events).probeAt = null;
    if (answered.kind === "range" && track !== null) this.onRange(track, wish, answered, nowMs);
    if (answered.kind === "records" && answered.whole) this.onLedger(wish, answered, nowMs);
    if (answered.kind === "refused") this.onRefused(track, wish, answered.code, nowMs);
    else if (answered.kind !== "silent" && answered.forged)
      this.options.log(
        `${this.site}/${wish.console ?? "events"}: what came is not what the site signed for (reply.unverified)`,
      );
  }

  /** Only what the site signed is stored, and given up: anybody may have told the records and their numbers. */
  private onLedger(wish: Wish, { answer, records }: Extract<Answered, { kind: "records" }>, nowMs: number): void {
    const { first, next, proofs = [] } = answer;
    if (next !== undefined && wish.had !== undefined && next < wish.had.next)
      return this.onRenumbered(wish.had.next, first ?? 0, next, nowMs);
    if (next !== undefined && this.events.trimHead(next, nowMs)) this.events.probeAt ??= nowMs + TRIMMED_MS;
    const { range } = wish;
    if (range === null) return this.events.tellHead(next ?? 0, nowMs);
    const before = this.events.next;
    this.events.take(records, nowMs);
    const strangers = this.events.prove(proofs, nowMs);
    if (strangers > 0) this.onForged("up/event", strangers);
    // Nothing is there of what was asked for.
    if (answer.records === 0 && first !== undefined && next !== undefined)
      this.events.skip(Math.max(first, Math.min(range.to, next)), nowMs);
    const helped = this.events.next > range.from || this.events.next > before || this.events.hole() === null;
    if (!helped) this.backoffs.postpone(subjectOf(wish), "the answer did not help", nowMs);
  }

  /** The card was replaced or the journal emptied: nothing of the new ledger may pass for a repeat of the old one. */
  private onRenumbered(had: number, first: number, next: number, nowMs: number): void {
    this.options.log(`${this.site}: its ledger ends at ${next}, ${had} was here: another card? It is stored anew`);
    this.renumbered = { at: nowMs, had, next };
    this.tell({ type: "renumbered", at: nowMs, had, next });
    this.events.restart(Math.max(first, 1), next, nowMs);
  }

  private onRefused(track: Track | null, wish: Wish, code: string, nowMs: number): void {
    this.options.log(`${this.site}: it refused to read ${wish.console ?? "its events"}: ${code}`);
    if (code !== "read.range" || track === null || wish.range === null) return;
    this.doubt(track, wish.range.boot, nowMs);
  }

  /** Either it has nothing of that boot any more, or its card failed just then: the list of its boots tells. */
  private doubt(track: Track, boot: number, nowMs: number): void {
    this.doubted.add(`${subjectOf(track)} ${boot}`);
    track.probeAt = nowMs;
  }

  private onRange(
    track: Track,
    wish: Wish,
    { answer, whole, absent }: Extract<Answered, { kind: "range" }>,
    nowMs: number,
  ): void {
    this.boots.name(answer.boots.map(({ boot }) => boot).reverse());
    for (const { boot, mono, wall, trust } of answer.clocks) this.clocks.learn(boot, mono, wall, trust);
    const { intake, store } = track;
    const { range, had } = wish;
    const present = answer.boots.find(({ boot }) => boot === had?.boot && boot === answer.boot);
    if (present !== undefined && present.next < (had?.next ?? 0)) {
      this.options.log(`${this.site}/${track.console}: ends at ${present.next}, more was here: it is stored anew`);
      return intake.restart(present.boot, present.next, nowMs);
    }
    for (const { boot, first, next } of answer.boots)
      if (first < next || store.nextOf(boot) > 0) intake.tellHead(boot, next, nowMs);
    if (range === null) return this.settleDoubts(track, answer, nowMs);
    // The boot that was asked for: the answer's own `boot` is that of its signature, the present one of the site.
    const { boot } = range;
    // A journal that has nothing of it any more says so by not listing it: the empty range tells nothing of its end.
    if (whole && !answer.boots.some((one) => one.boot === boot)) return this.doubt(track, boot, nowMs);
    if (answer.first > store.nextOf(boot)) intake.giveUp(boot, answer.first, "quota", nowMs);
    intake.declare(boot, answer.gaps, nowMs);
    // All that the site has is here: what is missing still is missing there, and it did not say why.
    for (const [from, to] of absent) {
      const next = store.nextOf(boot);
      if (next >= from && next < to) intake.giveUp(boot, to, "undeclared", nowMs);
    }
    // Either a piece lied, or it is of after the answer: the site is asked later how far it goes.
    if (whole && intake.trimHead(boot, answer.next, nowMs)) track.probeAt ??= nowMs + TRIMMED_MS;
    if (store.nextOf(boot) <= range.from) this.backoffs.postpone(subjectOf(track), "the answer did not help", nowMs);
  }

  /** Boots that it refused to read and does not list are gone. */
  private settleDoubts(track: Track, { boots }: RangeAnswer, nowMs: number): void {
    for (const { boot, to } of track.intake.holes()) {
      const doubted = this.doubted.delete(`${subjectOf(track)} ${boot}`);
      if (doubted && !boots.some((one) => one.boot === boot)) track.intake.giveUp(boot, to, "quota", nowMs);
    }
  }

  private tell(event: HookEvent): void {
    this.options.tell({ ...event, fleet: this.fleet, site: this.site });
  }
}
