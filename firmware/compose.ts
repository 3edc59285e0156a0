import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadSiteKey } from "../src/access/site-key.ts";
import { signEd25519, verifySignature } from "../src/access/sshsig.ts";
import type { SiteConfig } from "../src/config/config.ts";
import { type Capture, createCapture, rxTrack } from "../src/console/capture.ts";
import { createLocator } from "../src/console/locator.ts";
import { createSweeper } from "../src/console/sweeper.ts";
import { createTtyPort } from "../src/console/tty-port.ts";
import type { Code } from "../src/core/codes.ts";
import type { Event } from "../src/core/events.ts";
import type { Durable } from "../src/core/ledger.ts";
import { acceptTrust, type Offer } from "../src/core/trust.ts";
import { writeWhole } from "../src/disk/disk.ts";
import { type Journal, openJournal } from "../src/journal/journal.ts";
import { createLink, type Link } from "../src/link/link.ts";
import { assertAlone } from "../src/link/local.ts";
import { createReader } from "../src/link/reader.ts";
import { lockFile } from "../src/linux/flock.ts";
import { machineFiles } from "../src/linux/machine-files.ts";
import { createRelayBank, type RelayBank } from "../src/power/bank.ts";
import { NAMESPACES } from "../src/protocol/envelope.ts";
import { siteRoot } from "../src/protocol/topics.ts";
import { createSimulatedSite, type SimulatedSite } from "../src/sim/simulated-site.ts";
import type { Edges, Keys, LogLine } from "../src/site/edges.ts";
import { readOffer } from "../src/site/inbox.ts";
import { nextStart, recoverDurable } from "../src/site/recover.ts";
import { createSite, type Site } from "../src/site/site.ts";
import { bootNumber, clockTrust, monoMs, systemClock } from "./machine.ts";

/** The only file that picks real edges: one site from its config, running. */

export interface Controller {
  readonly publicKey: string;
  /** True when the config that was given could not run and the one before does. */
  readonly fellBack: boolean;
  stop(): Promise<void>;
}

export interface ComposeOptions {
  readonly config: SiteConfig;
  readonly version: string;
  readonly log: (line: LogLine) => void;
  /** State may be wrong: say so and end the process. */
  readonly fatal: (error: Error) => void;
  /** What was wrong with files that are not used. */
  readonly notes: readonly { readonly code: Code; readonly detail: string }[];
  /** The config that ran before, for when this one has lost an outlet that owes an on. */
  readonly lastGood: () => SiteConfig | null;
  /** Mean time between the troubles that simulated devices make by themselves; 0: none. */
  readonly simTroubleMs: number;
}

/** A reason not to start that is not a bug; exit code 2. */
export class StartRefused extends Error {}

const verifier: Keys["verify"] = (body, signature, namespace) =>
  verifySignature(body, signature, namespace)?.fingerprint ?? null;

const CLOCK_EVERY_MS = 30_000;

export async function startController(options: ComposeOptions): Promise<Controller> {
  const { log } = options;
  let { config } = options;
  await assertAlone(config.socket).catch((error: Error) => {
    throw new StartRefused(`${error.message}; stop it, or use another data folder`);
  });
  // What can be refused is refused before anything is made.
  const trust = loadTrust(config, verifier);
  if (!existsSync(config.data)) mkdirSync(config.data);
  const lock = lockFile(join(config.data, "lock"));
  if (lock === null)
    throw new StartRefused(`another controller runs on ${config.data}; stop it, or use another data folder`);
  const siteKey = loadSiteKey(join(config.data, "site.key"), `${config.plan.fleet}/${config.plan.site}`);
  log({ level: "info", code: siteKey.fresh ? "key.made" : "key.loaded", key: siteKey.publicLine });

  let site: Site | null = null;
  const emit = (event: Event): void => site?.emit(event);
  const journal = await openJournal(journalOptions(config), {
    onFinished: (token, ok) => emit({ type: "append-finished", token, ok }),
    onStorage: (state, detail) => emit({ type: "storage-changed", state, detail }),
    onLost: options.fatal,
  });
  const durable = recoverDurable(journal.recovered);
  const missing = missingOwed(config, durable);
  if (missing !== null) {
    const last = configThatPays(options, durable, missing);
    if (last === null) {
      await journal.close();
      lock.release();
      throw new StartRefused(owesText(missing));
    }
    config = last;
  }
  const keys: Keys = { sign: (body) => signEd25519(siteKey.key, body, NAMESPACES.site), verify: verifier };
  const boot = bootNumber();
  const start = nextStart(durable, boot);

  const simulated = createSimulatedSite(config, Date.now, Math.random, options.simTroubleMs);
  const relays = Object.values(config.plan.outlets).map((outlet) => outlet.relay);
  const bank = createRelayBank(simulated.board.lines, config.board.energised, relays);
  const link = createLink({
    ...config.plan,
    boot,
    start,
    brokers: config.brokers,
    tls: config.tls,
    socket: config.socket,
    random: Math.random,
    receive: (message) => site?.receive(message),
    emit,
  });
  const reader = createReader({
    root: siteRoot(config.plan.fleet, config.plan.site),
    journal,
    boot,
    monoMs,
    publish: (to, topic, payload) => link.publish({ to, topic, payload, retained: false }),
    emit,
    watched: (untilMs) => journal.watched(untilMs),
  });
  const capture = captureOf(config, simulated, journal, boot, emit);
  site = createSite({
    edges: edgesOf({ config, journal, bank, link, reader, simulated, emit }),
    clock: systemClock(),
    keys,
    entropy: () => randomBytes(16).toString("hex"),
    log,
    started: {
      type: "started",
      plan: config.plan,
      durable,
      boot,
      start,
      version: options.version,
      siteKey: siteKey.publicLine,
      configSha256: config.sha256,
      tracks: journal.recovered.tracks,
      lines: bank.levels(),
      trust: trust.offers,
      notes: [...options.notes, ...owedNotes(missing), ...trust.notes],
    },
  });
  keepTrust(config, trust, site);
  capture.start();
  senseInputs(config, simulated, emit);
  const readClock = () => emit({ type: "clock-read", wallMs: Date.now(), trust: clockTrust() });
  readClock();
  const clockTimer = setInterval(readClock, CLOCK_EVERY_MS);
  await link.start();
  const running = site;
  return {
    publicKey: siteKey.publicLine,
    fellBack: config !== options.config,
    async stop() {
      clearInterval(clockTimer);
      reader.stop();
      await capture.stop();
      await link.stop();
      running.stop();
      await journal.close();
      lock.release();
    },
  };
}

function journalOptions(config: SiteConfig): Parameters<typeof openJournal>[0] {
  return {
    folder: join(config.data, "journal"),
    ...config.journal,
    tracks: config.consoles.map(({ name }) => rxTrack(name)),
  };
}

/** An outlet that owes an on cannot leave the config. */
function missingOwed(config: SiteConfig, durable: Durable): string | null {
  const owed = durable.unsettled.filter((one) => one.verb !== "off").flatMap((one) => one.outlets);
  return owed.find((outlet) => !Object.hasOwn(config.plan.outlets, outlet)) ?? null;
}

const owesText = (outlet: string): string =>
  `outlets.${outlet} owes an on and is missing from the config; put it back until the on is paid`;

/** The config that ran before, if that one has the outlet. */
function configThatPays(options: ComposeOptions, durable: Durable, missing: string): SiteConfig | null {
  options.log({ level: "error", code: "config.owes-on", detail: owesText(missing) });
  const last = options.lastGood();
  return last !== null && missingOwed(last, durable) === null ? last : null;
}

function owedNotes(missing: string | null): { code: Code; detail: string }[] {
  return missing === null ? [] : [{ code: "config.owes-on", detail: missing }];
}

interface LoadedTrust {
  readonly offers: readonly Offer[];
  readonly notes: readonly { readonly code: Code; readonly detail: string }[];
  readonly fileText: string | null;
}

const storedTrust = (config: SiteConfig) => join(config.data, "trust.json");

/** The stored document rules; the configured file is the first one, and later an offer like any other. */
function loadTrust(config: SiteConfig, verify: Keys["verify"]): LoadedTrust {
  const read = (file: string): { text: string | null; offer: Offer | null } => {
    const text = existsSync(file) ? readFileSync(file, "utf8") : null;
    return { text, offer: text === null ? null : readOffer(text, { verify }) };
  };
  const stored = read(storedTrust(config));
  const notes: { code: Code; detail: string }[] = [];
  if (stored.text !== null && stored.offer === null)
    notes.push({ code: "trust.invalid", detail: "the stored document cannot be read" });
  const offers = stored.offer ? [stored.offer] : [];
  if (config.trustFile === null) return { offers, notes, fileText: null };
  const file = read(config.trustFile);
  const wrong = trustFileProblem(config, verify);
  if (file.offer !== null && wrong === null) return { offers: [...offers, file.offer], notes, fileText: file.text };
  const detail = `${config.trustFile} ${wrong ?? ""}`;
  if (stored.text === null)
    throw new StartRefused(`trust: ${detail}; make it with \`towpath trust init\` and \`towpath trust sign\``);
  return { offers, notes: [...notes, { code: "trust.invalid", detail }], fileText: null };
}

/** What is wrong with the configured trust file by itself; null when nothing is, or none is configured. */
export function trustFileProblem(config: SiteConfig, verify: Keys["verify"] = verifier): string | null {
  if (config.trustFile === null) return null;
  if (!existsSync(config.trustFile)) return "is not there";
  const offer = readOffer(readFileSync(config.trustFile, "utf8"), { verify });
  if (offer === null) return "is not a signed trust document";
  const accepted = acceptTrust(null, offer, config.plan.fleet, null);
  if (accepted.ok) return null;
  return accepted.code === "trust.signatures"
    ? "does not have enough root signatures"
    : `is for the fleet ${offer.document.fleet}`;
}

/** What was taken from the configured file is stored, so that it rules from now on. */
function keepTrust(config: SiteConfig, trust: LoadedTrust, site: Site): void {
  const { trust: ruling } = site.state();
  const fromFile = trust.offers.at(-1)?.document;
  if (ruling === null || trust.fileText === null || fromFile?.sha256 !== ruling.sha256) return;
  if (!existsSync(storedTrust(config)) || readFileSync(storedTrust(config), "utf8") !== trust.fileText) {
    writeWhole(storedTrust(config), trust.fileText);
  }
}

function captureOf(
  config: SiteConfig,
  simulated: SimulatedSite,
  journal: Journal,
  boot: number,
  emit: (event: Event) => void,
): Capture {
  const sweeper = createSweeper();
  const locator = createLocator(monoMs, machineFiles());
  const ports = config.consoles.map(({ name, port, baudRate, framing, flow }) => ({
    name,
    port:
      "sim" in port
        ? simulated.port(port.sim)
        : createTtyPort({ locate: () => locator.locate(port), baudRate, framing, flow }, sweeper),
  }));
  return createCapture({
    ports,
    boot,
    heads: journal.recovered.tracks,
    monoMs,
    append: (items, urgent) => journal.appendCapture(items, urgent, monoMs()),
    emit,
  });
}

interface Parts {
  readonly config: SiteConfig;
  readonly journal: Journal;
  readonly bank: RelayBank;
  readonly link: Link;
  readonly reader: Edges["reader"];
  readonly simulated: SimulatedSite;
  readonly emit: (event: Event) => void;
}

function edgesOf({ config, journal, bank, link, reader, simulated, emit }: Parts): Edges {
  return {
    journal: {
      perform({ records, durable, sync, token }) {
        const lines = records.map((record) => ({
          seq: record.seq,
          boot: record.boot,
          mono: record.mono,
          json: JSON.stringify(record),
        }));
        journal.appendLedger(lines, JSON.stringify(durable), sync, token);
      },
    },
    relays: {
      perform({ token, relay, energised }) {
        const result = bank.set(relay, energised);
        setImmediate(() => emit({ type: "relay-driven", token, ...result }));
      },
    },
    trust: {
      perform({ token, envelope }) {
        let ok = true;
        try {
          writeWhole(storedTrust(config), envelope);
        } catch {
          ok = false;
        }
        setImmediate(() => emit({ type: "trust-stored", token, ok }));
      },
    },
    reader,
    faults: {
      perform({ token, subject, fault }) {
        const refused = simulated.fault(subject, fault);
        setImmediate(() =>
          emit({ type: "fault-set", token, ok: refused === null, detail: refused ?? `${subject}: ${fault}` }),
        );
      },
    },
    link,
  };
}

/** Inputs that an outlet observes: told as they stand, then at each change. */
function senseInputs(config: SiteConfig, simulated: SimulatedSite, emit: (event: Event) => void): void {
  const used = new Set(Object.values(config.plan.outlets).flatMap((outlet) => outlet.observe?.input ?? []));
  const sense = (relay: number, present: boolean): void => {
    if (used.has(`s${relay}`)) emit({ type: "input-sensed", input: `s${relay}`, present });
  };
  for (const relay of Object.keys(config.board.relays).map(Number)) sense(relay, simulated.fed(relay));
  simulated.onFed(sense);
}
