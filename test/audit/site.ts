import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { publicKeyLine, signEd25519, verifySignature } from "../../src/access/sshsig.ts";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { createReader } from "../../src/link/reader.ts";
import type { Message } from "../../src/link/transport.ts";
import type { Verify } from "../../src/operator/audit/authority.ts";
import { exportText, plainKey } from "../../src/operator/audit/export-file.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope, NAMESPACES, parseJson } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { fingerprintOf, keyBlob } from "../../src/protocol/trust-document.ts";
import type { Keys } from "../../src/site/edges.ts";
import { readOffer } from "../../src/site/inbox.ts";
import { nextStart, recoverChain, recoverDurable } from "../../src/site/recover.ts";
import { createSite, type Site } from "../../src/site/site.ts";
import { PLAN } from "../core/bench.ts";
import { trustText } from "../trust.ts";

/** A real site in this process, on a disk in memory and a clock moved by hand. The same seed makes the same ledger. */

const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** The key of somebody, always the same. */
export function keyOf(name: string): KeyObject {
  const secret = createHash("sha256").update(`key of ${name}`).digest();
  return createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, secret]), format: "der", type: "pkcs8" });
}

export const publicKeyOf = (name: string): string => plainKey(publicKeyLine(keyOf(name), "")) ?? "";
export const fingerprintOfKey = (name: string): string => fingerprintOf(keyBlob(publicKeyOf(name)) ?? new Uint8Array());

const seen = new Map<string, string | null>();

/** The same bytes are verified again and again here; what a signature is worth does not change. */
export const verify: Verify = (body, signature, namespace) => {
  const key = createHash("sha256").update(body).update(namespace).update(signature).digest("hex");
  const known = seen.get(key);
  if (known !== undefined) return known;
  const signer = verifySignature(body, signature, namespace)?.fingerprint ?? null;
  if (seen.size < 10_000) seen.set(key, signer);
  return signer;
};

const SITE_KEYS: Keys = { sign: (body) => signEd25519(keyOf("site"), body, NAMESPACES.site), verify };

export function trustOf(epoch: number, revoked: readonly string[] = [], root = "root"): string {
  const operators = {
    alice: { key: keyOf("alice"), role: "admin" },
    olaf: { key: keyOf("olaf"), role: "operator" },
    vera: { key: keyOf("vera"), role: "viewer" },
  };
  return trustText({ fleet: "acme", epoch, root: keyOf(root), operators, revoked });
}

export function signedBy(name: string, body: object): string {
  const bytes = Buffer.from(JSON.stringify(body));
  return encodeEnvelope({ body: bytes, sigs: [signEd25519(keyOf(name), bytes, NAMESPACES.command)] });
}

const ROOT = siteRoot("acme", "one");

interface Answer {
  readonly id: string;
  readonly phase: string;
  readonly code?: string;
  readonly nonce?: string;
  readonly epoch?: number;
}

export class AuditedSite {
  private readonly disk = createMemoryDisk();
  private site: Site | null = null;
  private store: JournalStore;
  private nowMs = 100_000;
  private wake: { atMs: number; run: () => void } | null = null;
  private ids = 0;
  private stored = trustOf(1);
  readonly answers: { body: Answer; envelope: Envelope }[] = [];
  private readonly lines: Record<number, boolean> = { 1: false, 2: false, 3: false, 4: true, 5: false };

  private readonly ledgerBytes: number;

  constructor(ledgerBytes = 4 * 1024 * 1024) {
    this.ledgerBytes = ledgerBytes;
    this.store = this.open();
    this.start();
  }

  private open(): JournalStore {
    return new JournalStore(this.disk, { captureBytes: 256 * 1024, ledgerBytes: this.ledgerBytes }, () =>
      Buffer.alloc(8),
    );
  }

  /** Ends this life and begins the next, as after a crash. */
  start(): void {
    this.site?.stop();
    this.store = this.open();
    const durable = recoverDurable(this.store.recovered);
    const { store } = this;
    const emit: Site["emit"] = (event) => void queueMicrotask(() => this.site?.emit(event));
    const publish = (_to: unknown, topic: string, payload: Uint8Array): boolean => this.heard(topic, payload);
    const reader = createReader({
      root: ROOT,
      journal: {
        readCapture: async () => null,
        offsetAt: async () => 0,
        stats: async () => ({}),
        readLedger: async (from, to, limit) => store.readLedger(from, to, limit),
        readLastLedger: async (count) => store.readLastLedger(count),
      },
      boot: 7,
      monoMs: () => this.nowMs,
      publish,
      emit,
      watched: () => undefined,
      shipped: { watchSent: () => undefined, watchBegun: () => undefined },
    });
    this.site = createSite({
      edges: {
        journal: {
          perform: ({ records, durable: state, token }, texts) => {
            const lines = records.map(({ seq, boot, mono }, at) => ({ seq, boot, mono, json: texts[at] ?? "" }));
            store.appendLedger(lines, JSON.stringify(state));
            if (token !== null) emit({ type: "append-finished", token, ok: true });
          },
        },
        streams: null,
        modem: null,
        relays: {
          perform: ({ token, relay, energised }) => {
            this.lines[relay] = energised;
            emit({ type: "relay-driven", token, energised, fault: null });
          },
        },
        trust: {
          perform: ({ token, envelope }) => {
            this.stored = envelope;
            emit({ type: "trust-stored", token, ok: true });
          },
        },
        reader,
        shipper: { perform: () => undefined },
        faults: null,
        link: { publish: ({ topic, payload }) => this.heard(topic, payload) },
      },
      clock: {
        monoMs: () => this.nowMs,
        at: (atMs, run) => {
          this.wake = { atMs, run };
          return () => {
            this.wake = null;
          };
        },
      },
      keys: SITE_KEYS,
      entropy: () =>
        createHash("md5")
          .update(`nonce ${++this.ids}`)
          .digest("hex"),
      log: () => undefined,
      chain: recoverChain(this.store.recovered, durable),
      started: {
        type: "started",
        plan: PLAN,
        durable,
        boot: 7,
        start: nextStart(durable, 7),
        version: "test",
        siteKey: publicKeyOf("site"),
        configSha256: "",
        tracks: {},
        lines: { ...this.lines },
        power: "unknown",
        trust: [this.stored].flatMap((text) => readOffer(text, { verify }) ?? []),
        notes: [],
      },
    });
  }

  /** Everything that it publishes. */
  onMessage: (message: Message) => void = () => undefined;

  private heard(topic: string, payload: Uint8Array): boolean {
    this.onMessage({ topic, payload, retained: false, oversized: false });
    if (!topic.endsWith("/up/reply")) return true;
    const envelope = decodeEnvelope(Buffer.from(payload).toString("utf8"));
    if (envelope !== null) this.answers.push({ body: parseJson(envelope.body) as Answer, envelope });
    return true;
  }

  id(): string {
    return `0${String(++this.ids).padStart(25, "0")}`;
  }

  /** Sends a signed command and lets the site work; the first answer to it. */
  async send(signer: string, command: Readonly<Record<string, unknown>>): Promise<Answer> {
    const body = { v: 1, id: this.id(), site: "acme/one", by: signer, epoch: 1, ...command };
    const payload = Buffer.from(signedBy(signer, body));
    this.site?.receive({ via: "lte", topic: `${ROOT}/dn/command`, payload, retained: false });
    await this.pass(10);
    return this.answerTo(body.id)?.body ?? { id: body.id, phase: "none" };
  }

  answerTo(id: string): { body: Answer; envelope: Envelope } | undefined {
    return this.answers.find(({ body }) => body.id === id);
  }

  /** Select and operate. */
  async order(by: string, verb: string, target: string, args: object = {}, more: object = {}): Promise<Answer> {
    const { nonce, epoch } = await this.send(by, { kind: "select", verb, target, args, ...more });
    return this.send(by, {
      kind: "operate",
      nonce: nonce ?? "none",
      args: {},
      ...more,
      ...(epoch !== undefined && { epoch }),
    });
  }

  async pass(ms: number): Promise<void> {
    const until = this.nowMs + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.wake === null || this.wake.atMs > until) break;
      const { atMs, run } = this.wake;
      this.wake = null;
      this.nowMs = Math.max(this.nowMs, atMs);
      run();
    }
    this.nowMs = until;
  }

  records(): string[] {
    return this.store.readLedger(0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }

  /** As `towpath audit export` takes it: the records, and the site's signed answer about the last of them. */
  async export(last = 100): Promise<string> {
    const { id } = await this.send("alice", { kind: "read", args: { console: null, last } });
    const head = this.answerTo(id)?.envelope ?? null;
    return exportText({ fleet: "acme", site: "one", key: publicKeyOf("site") }, this.records(), head);
  }
}

/** A site's day: orders, refusals, locks, a cancelled wait, a new trust, a restart. */
export async function busyDay(): Promise<AuditedSite> {
  const site = new AuditedSite();
  await site.order("alice", "cycle", "router1", { reason: "hangs" });
  await site.pass(30_000);
  await site.order("olaf", "off", "nas1", { forMs: 60_000 });
  await site.pass(5_000);
  await site.order("alice", "cancel", "nas1");
  await site.pass(30_000);
  await site.order("olaf", "lock", "cam1", { reason: "somebody works on it" });
  await site.order("alice", "cycle", "cam1");
  await site.order("olaf", "unlock", "cam1");
  await site.order("vera", "cycle", "router1");
  await site.send("olaf", { kind: "operate", nonce: "none", args: {} });
  await site.send("olaf", { kind: "status", site: "acme/two" });
  await site.send("vera", { kind: "watch", args: { console: "other" } });
  await site.send("vera", { kind: "status", by: "alice" });
  await site.send("mallory", { kind: "select", verb: "off", target: "router1" });
  await site.send("alice", { kind: "trust", args: { document: trustOf(2, ["olaf"]) } });
  await site.order("olaf", "off", "nas1", {}, { epoch: 2 });
  await site.order("alice", "cycle", "router1,nas1", { partial: true }, { epoch: 2 });
  await site.pass(30_000);
  site.start();
  await site.pass(1_000);
  await site.order("alice", "cycle", ":a3", {}, { epoch: 2 });
  await site.pass(30_000);
  await site.order("alice", "lock", "nas1", { reason: "until monday" }, { epoch: 2 });
  return site;
}
