import type { Round } from "../core/uplink.ts";
import { judge } from "../core/uplink.ts";
import type { Path } from "../link/path.ts";
import { askThrough } from "./bound-dns.ts";
import { type LocalFacts, localFacts } from "./local-facts.ts";
import { anchorAnswers, brokerAnswers, pageAnswers, resolverAnswers } from "./probes.ts";

/** Rounds of probes over the primary, as often as what they find asks for. */
export interface Prober {
  /** Something else saw that it may be down: a round at once. */
  nudge(): void;
  stop(): void;
}

export interface ProberOptions {
  readonly interface: string;
  readonly anchors: readonly string[];
  /** The site's own resolvers, best first. */
  readonly resolvers: () => readonly string[];
  readonly otherResolver: string;
  readonly page: string;
  readonly brokers: readonly string[];
  readonly path: Path;
  readonly tell: (round: Round) => void;
}

const CALM_MS = 5_000;
const SUSPECT_MS = 1_000;
/** After so many bad rounds in a row it is known what is wrong, and asking each second helps nobody. */
const SUSPECT_ROUNDS = 20;
/** What costs others something is asked rarely while all is well. */
const WHOLE_EVERY_MS = 30_000;
const LOOK_MS = 250;
/** Any answer will do, so it need not exist. */
const NO_BROKER_NAME = "example.com";

export function createProber(options: ProberOptions): Prober {
  const { interface: device } = options;
  let badInRow = 0;
  let dueMs = 0;
  let wholeDueMs = 0;
  let busy = false;
  let stopped = false;
  let before = "";
  let pageAddress: string | null = null;

  const names = options.brokers.map((one) => new URL(one.replace(/^mqtts?/, "http")).hostname);
  const name = names.find((one) => /[a-z]/i.test(one)) ?? NO_BROKER_NAME;

  const page = async (): Promise<Round["page"]> => {
    const { hostname } = new URL(options.page);
    const isLiteral = /^[\d.]+$/.test(hostname);
    const [server] = options.resolvers();
    const asked = isLiteral || server === undefined ? null : await askThrough(device, server, hostname, 4, SUSPECT_MS);
    pageAddress = isLiteral ? hostname : (asked?.[0] ?? pageAddress);
    return pageAddress === null ? null : pageAnswers(device, options.page, pageAddress);
  };

  const round = async (facts: LocalFacts, whole: boolean): Promise<Round> => {
    const base = { interface: device, ...facts };
    const nothing = { anchors: options.anchors.map(() => false), dns: { own: null, other: null }, page: null };
    if (!facts.carrier || facts.addresses.length === 0) return { ...base, ...nothing, broker: null };
    const [server] = options.resolvers();
    const [anchors, own, other, found] = await Promise.all([
      Promise.all(options.anchors.map((anchor) => anchorAnswers(device, anchor))),
      server === undefined ? null : resolverAnswers(device, server, name),
      resolverAnswers(device, options.otherResolver, name),
      whole ? page().catch(() => null) : null,
    ]);
    const [broker] = options.brokers;
    const askBroker = whole && broker !== undefined && anchors.some((alive) => alive) && own !== false;
    const service = askBroker ? await brokerAnswers(options.path, broker) : null;
    // The gateway is looked at last: by then it was asked on the wire.
    const { gateway } = localFacts(device);
    return { ...base, gateway, anchors, dns: { own, other }, page: found, broker: service };
  };

  const look = async (): Promise<void> => {
    const facts = localFacts(device);
    const { gateway } = facts;
    const now = JSON.stringify([facts.carrier, facts.addresses, gateway?.address, options.resolvers()]);
    const changed = now !== before;
    before = now;
    const nowMs = performance.now();
    if (busy || stopped || (!changed && nowMs < dueMs)) return;
    busy = true;
    const whole = changed || badInRow > 0 || nowMs >= wholeDueMs;
    if (whole) wholeDueMs = nowMs + WHOLE_EVERY_MS;
    const found = await round(facts, whole).finally(() => {
      busy = false;
    });
    badInRow = judge(found) === null ? 0 : badInRow + 1;
    dueMs = nowMs + (badInRow > 0 && badInRow <= SUSPECT_ROUNDS ? SUSPECT_MS : CALM_MS);
    if (!stopped) options.tell(found);
  };

  const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
  return {
    nudge() {
      dueMs = 0;
      wholeDueMs = 0;
    },
    stop() {
      stopped = true;
      clearInterval(timer);
    },
  };
}
