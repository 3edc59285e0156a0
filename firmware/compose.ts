import { createHash, randomBytes } from "node:crypto";
import { closeSync } from "node:fs";
import { join } from "node:path";
import { loadSiteKey } from "../src/access/site-key.ts";
import { signEd25519 } from "../src/access/sshsig.ts";
import type { ConsoleConfig, SiteConfig } from "../src/config/config.ts";
import { type Capture, createCapture, rxTrack, txTrack } from "../src/console/capture.ts";
import { createLocator, type Locator } from "../src/console/locator.ts";
import type { Port } from "../src/console/port.ts";
import { createSweeper, type Sweeper } from "../src/console/sweeper.ts";
import { createTtyPort, type Keeper } from "../src/console/tty-port.ts";
import { clockNow, datesHold, floorOf } from "../src/core/clock.ts";
import type { Code } from "../src/core/codes.ts";
import type { Event } from "../src/core/events.ts";
import type { Durable } from "../src/core/ledger.ts";
import { inputOf } from "../src/core/plan.ts";
import { type Journal, openJournal } from "../src/journal/journal.ts";
import type { Link } from "../src/link/link.ts";
import { assertAlone } from "../src/link/local.ts";
import { createReader } from "../src/link/reader.ts";
import type { Shipper } from "../src/link/shipper.ts";
import { type FdStore, openFdStore } from "../src/linux/fd-store.ts";
import { kernelGpio } from "../src/linux/gpio.ts";
import { machineFiles } from "../src/linux/machine-files.ts";
import { createRelayBank, type Lines } from "../src/power/bank.ts";
import { NAMESPACES } from "../src/protocol/envelope.ts";
import { siteRoot } from "../src/protocol/topics.ts";
import { createSimulatedSite, type SimulatedSite } from "../src/sim/simulated-site.ts";
import type { Edges, Keys, LogLine } from "../src/site/edges.ts";
import { nextStart, recoverChain, recoverDurable, stoppedAt } from "../src/site/recover.ts";
import { createSite, type Site } from "../src/site/site.ts";
import { type ConsoleAccess, openConsoleAccess } from "./console-access.ts";
import { createHeartbeat } from "./heartbeat.ts";
import { type Life, watchLife } from "./life.ts";
import { watchLte } from "./lte.ts";
import { bootNumber, clockTrust, monoMs, systemClock } from "./machine.ts";
import { watchMachine } from "./machine-watch.ts";
import { modemMeasures, NO_HELPER, openModem } from "./modem.ts";
import { powerWas, shuttingDown } from "./power-was.ts";
import { lockData, makeData, socketOn, unlessFirst, unlessReadOnly } from "./read-only-card.ts";
import { createSiteStreams, prepareLogins } from "./services.ts";
import { createSiteShipper } from "./shipping.ts";
import { openSiteBoard } from "./site-board.ts";
import { edgesOf } from "./site-edges.ts";
import { createSiteLink } from "./site-link.ts";
import { StartRefused } from "./start-refused.ts";
import { createTelemetry } from "./telemetry.ts";
import { keepTrust, loadTrust, verifier } from "./trust-file.ts";
import { openUplinks } from "./uplinks.ts";

/** The only file that picks real edges: one site from its config, running. */

export interface Controller {
  readonly publicKey: string;
  /** True when the config that was given could not run and the one before does. */
  readonly fellBack: boolean;
  /** What has stood still since it was asked before: for the watchdog. */
  standing(): string[];
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

const NO_LINES: Lines = { count: 0, read: () => false, write: () => undefined };
const CLOCK_EVERY_MS = 30_000;

export async function startController(options: ComposeOptions): Promise<Controller> {
  const { log } = options;
  let { config } = options;
  await assertAlone(config.socket).catch((error: Error) => {
    throw new StartRefused(`${error.message}; stop it, or use another data folder`);
  });
  // What can be refused is refused before anything is made.
  const trust = loadTrust(config, verifier);
  makeData(config.data);
  const lock = lockData(config.data);
  if (lock === null)
    throw new StartRefused(`another controller runs on ${config.data}; stop it, or use another data folder`);
  const { data, plan } = config;
  const keyFile = join(data, "site.key");
  const siteKey = unlessFirst(data, () => loadSiteKey(keyFile, `${plan.fleet}/${plan.site}`));
  log({ level: "info", code: siteKey.fresh ? "key.made" : "key.loaded", key: siteKey.publicLine });

  let site: Site | null = null;
  const emit = (event: Event): void => site?.emit(event);
  const journal = await openJournal(journalOptions(config), {
    onFinished: (token, ok) => emit({ type: "append-finished", token, ok }),
    onStorage: (state, detail) => emit({ type: "storage-changed", state, detail }),
    onNote: (code, detail) => log({ level: "warn", code, detail }),
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

  const store = openFdStore();
  const simulated =
    config.board.kind === "simulated" ? createSimulatedSite(config, Date.now, Math.random, options.simTroubleMs) : null;
  const board = simulated === null ? openSiteBoard(config, { kernel: kernelGpio, store, log }) : null;
  const relays = Object.values(config.plan.outlets).map((outlet) => outlet.relay);
  const lines = board?.lines ?? simulated?.board.lines ?? NO_LINES;
  const bank = createRelayBank(lines, config.board.energised, relays);
  const socket = socketOn(config.socket, log);
  const knownClock = () => site && clockNow(site.state(), monoMs());
  const uplinks = openUplinks(config);
  const link = createSiteLink({
    ...{ config, boot, start, socket },
    ...(uplinks.paths && { paths: uplinks.paths }),
    emit: (event) => {
      if (event.type === "link-changed" && event.state === "up") streams.reconnected(event.connection);
      if (event.type === "link-changed" && event.state === "down") uplinks.nudge();
      emit(event);
    },
    receive: (message) => streams.took(message) || site?.receive(message),
    shipper: () => shipper,
    datesHold: (dates) => datesHold(dates, knownClock(), floorOf(durable)),
    streams: {
      begun: (id) => streams.begun(id),
      bytes: (id, payload, resume) => streams.bytes(id, payload, resume),
      gone: (id) => streams.gone(id),
    },
  });
  const shipper = createSiteShipper({ config, journal, link, boot, ledgerNext: durable.seq + 1 });
  const reader = createReader({
    root: siteRoot(config.plan.fleet, config.plan.site),
    journal,
    boot,
    monoMs,
    publish: (to, topic, payload, settled) =>
      link.publish({ to, topic, payload, retained: false, ...(settled && { settled }) }),
    emit,
    watched: (untilMs) => journal.watched(untilMs),
    shipped: {
      watchBegun: (via, console) => via !== "local" && shipper.watchBegun(console),
      watchSent: (via, console, from, to) => via !== "local" && shipper.watchSent(console, from, to),
    },
  });
  const sweeper = createSweeper(() => capture.behind());
  const locator = createLocator(monoMs, machineFiles());
  const life = watchLife(config.plan, monoMs, emit);
  const ports = new Map(config.consoles.map((one) => [one.name, portOf(one, { simulated, store, sweeper, locator })]));
  const access = openConsoleAccess({ config, ports, capture: () => capture, journal, boot, monoMs, emit, log });
  const streams = createSiteStreams({ config, link, access, socket, emit, log });
  const capture: Capture = captureOf({
    ...{ config, ports, access, journal, link, shipper, durable, boot, life, emit },
  });
  const modem = openModem({ config, simulated, privileged: NO_HELPER, emit });
  site = createSite({
    edges: edgesOf({
      config,
      journal,
      bank,
      link,
      reader: watching(reader, capture),
      sessions: access.sessions,
      shipper,
      streams,
      modem: modem.edge,
      simulated,
      emit,
    }),
    clock: systemClock(),
    keys,
    entropy: () => randomBytes(16).toString("hex"),
    log,
    chain: recoverChain(journal.recovered, durable),
    started: {
      type: "started",
      plan: config.plan,
      durable,
      boot,
      start,
      version: options.version,
      siteKey: siteKey.publicLine,
      login: prepareLogins(config.data, log),
      configSha256: config.sha256,
      tracks: journal.recovered.tracks,
      lines: bank.levels(),
      power: powerWas(machineFiles()),
      trust: trust.offers,
      notes: [...options.notes, ...owedNotes(missing), ...trust.notes, ...(board?.notes ?? [])],
    },
  });
  const accepting = site;
  unlessReadOnly("trust", log, () => keepTrust(config, trust, accepting));
  capture.start();
  modem.start();
  letGo(store, log);
  if (simulated !== null) senseInputs(config, simulated, emit);
  board?.senseInputs((input, present) => emit({ type: "input-sensed", input, present }));
  const readClock = () => emit({ type: "clock-read", wallMs: Date.now(), trust: clockTrust() });
  readClock();
  const clockTimer = setInterval(readClock, CLOCK_EVERY_MS);
  uplinks.start(emit);
  await link.start();
  access.start();
  const running = site;
  const telemetry = createTelemetry(config, link, { boot, start });
  const machine = watchMachine({
    ...{ config, kernel: kernelGpio, adapters: locator.adapters },
    findings: (findings) => emit({ type: "machine-checked", findings }),
    telemetry: (measures) => telemetry({ ...measures, ...modemMeasures(running.state()) }),
  });
  const lte = watchLte({ config, link, boot, emit, clock: knownClock, floorMs: () => floorOf(durable) });
  return {
    publicKey: siteKey.publicLine,
    fellBack: config !== options.config,
    standing: createHeartbeat({
      turns: running.turns,
      nudge: () => emit({ type: "tick" }),
      sweeps: sweeper.sweeps,
      pingJournal: journal.ping,
      storageDegraded: () => running.state().storage.state === "degraded",
    }),
    async stop() {
      clearInterval(clockTimer);
      machine.stop();
      uplinks.stop();
      lte.stop();
      life.stop();
      modem.stop();
      reader.stop();
      shipper.stop();
      await access.stop();
      streams.stop();
      await capture.stop();
      emit({ type: "stopping", heads: capture.heads(), towards: shuttingDown() });
      await link.stop();
      running.stop();
      board?.stop();
      await journal.close();
      lock.release();
    },
  };
}

function journalOptions(config: SiteConfig): Parameters<typeof openJournal>[0] {
  return {
    folder: join(config.data, "journal"),
    ...config.journal,
    tracks: config.consoles.flatMap(({ name, capture }) =>
      capture === "rx" ? [rxTrack(name)] : [rxTrack(name), txTrack(name)],
    ),
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

/** What systemd keeps and the config no longer has: said, and let go. */
function letGo(store: FdStore, log: ComposeOptions["log"]): void {
  for (const name of store.left()) {
    for (let fd = store.take(name); fd !== null; fd = store.take(name)) closeSync(fd);
    store.remove(name);
    log({ level: "warn", code: "store.let-go", name });
  }
}

/** Who is watched is read at once. */
function watching(reader: Edges["reader"], capture: Capture): Edges["reader"] {
  return {
    perform(effect) {
      if (effect.type === "watch") capture.watch(effect.console, effect.untilMs);
      reader.perform(effect);
    },
  };
}

interface PortParts {
  readonly simulated: SimulatedSite | null;
  readonly store: FdStore;
  readonly sweeper: Sweeper;
  readonly locator: Locator;
}

interface CaptureParts {
  readonly config: SiteConfig;
  readonly ports: ReadonlyMap<string, Port>;
  readonly access: ConsoleAccess;
  readonly journal: Journal;
  readonly link: Link;
  readonly shipper: Shipper;
  readonly durable: Durable;
  readonly boot: number;
  readonly life: Life;
  readonly emit: (event: Event) => void;
}

function captureOf(parts: CaptureParts): Capture {
  const { config, ports, access, journal, link, shipper, durable, boot, life, emit } = parts;
  const { tracks, records } = journal.recovered;
  return createCapture({
    ports: config.consoles.flatMap(({ name, capture: way }) => {
      const port = ports.get(name);
      return port === undefined ? [] : [{ name, port, tx: way === "rx+tx" }];
    }),
    boot,
    before: durable.start === 0 ? null : { boot: durable.boot, heads: tracks, stopped: stoppedAt(records) },
    monoMs,
    append: (items, urgent) => {
      life.spoke(items);
      journal.appendCapture(items, urgent, monoMs());
      shipper.captured(items, urgent);
      if (urgent) link.alert();
    },
    written: journal.ping,
    heard: access.sessions.heard,
    emit(event) {
      access.sessions.happened(event);
      emit(event);
    },
  });
}

function portOf(console: ConsoleConfig, { simulated, store, sweeper, locator }: PortParts): Port {
  const { port, baudRate, framing, flow } = console;
  if ("sim" in port) {
    if (simulated === null) throw new Error(`${console.name}: a simulated device without the simulated board`);
    return simulated.port(port.sim);
  }
  const keeper = keeperOf(store, console);
  return createTtyPort({ locate: (haste) => locator.locate(port, haste), baudRate, framing, flow, keeper }, sweeper);
}

/** The name holds the settings: a terminal that was kept with others is opened anew. */
function keeperOf(
  store: FdStore,
  { name, ship: _, capture: __, paste: ___, sequences: ____, ...settings }: ConsoleConfig,
): Keeper {
  const kept = `port.${name}.${createHash("sha256").update(JSON.stringify(settings)).digest("hex").slice(0, 8)}`;
  return { take: () => store.take(kept), put: (fd) => void store.put(kept, fd), remove: () => store.remove(kept) };
}

/** Inputs that an outlet observes: told as they stand, then at each change. */
function senseInputs(config: SiteConfig, simulated: SimulatedSite, emit: (event: Event) => void): void {
  const used = new Set(Object.values(config.plan.outlets).flatMap(({ observe }) => inputOf(observe) ?? []));
  const sense = (relay: number, present: boolean): void => {
    if (used.has(`s${relay}`)) emit({ type: "input-sensed", input: `s${relay}`, present });
  };
  for (const relay of Object.keys(config.board.relays).map(Number)) sense(relay, simulated.fed(relay));
  simulated.onFed(sense);
}
