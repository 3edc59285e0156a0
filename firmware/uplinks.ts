import { join } from "node:path";
import type { SiteConfig } from "../src/config/config.ts";
import type { Event } from "../src/core/events.ts";
import type { Path } from "../src/link/path.ts";
import { addressesOf, FIXED, lteSource } from "../src/uplink/addresses.ts";
import { askHelper } from "../src/uplink/helper.ts";
import { localFacts } from "../src/uplink/local-facts.ts";
import { createLtePath } from "../src/uplink/lte-path.ts";
import { createPrimaryPath } from "../src/uplink/primary-path.ts";
import { createProber, type Prober } from "../src/uplink/prober.ts";
import { machineResolvers, PUBLIC } from "../src/uplink/resolvers.ts";
import { missingRules } from "../src/uplink/rules-watch.ts";

/** The ways out of a site, as its config says: paths for the link, and what watches them. */
export interface SiteUplinks {
  /** None: the machine's own routes. */
  readonly paths: readonly Path[] | undefined;
  start(emit: (event: Event) => void): void;
  /** A connection went down: perhaps more than it did. */
  nudge(): void;
  stop(): void;
}

const HELPER_SOCKET = "/run/towpath-net.sock";
const WATCH_MS = 60_000;
const LOOK_MS = 1_000;
/** What only root can see is looked at with it now and then. */
const MEND_EVERY = 15;

export function openUplinks(config: SiteConfig): SiteUplinks {
  const { primary, lte } = config.uplinks;
  const over = (uplink: Path["uplink"]) => join(config.data, `names-${uplink}.json`);
  const resolvers = () => (primary?.resolvers.length ? primary.resolvers : machineResolvers());
  const primaryPath =
    primary && createPrimaryPath({ interface: primary.interface, resolvers, namesFile: over("primary") });
  const ltePath =
    lte &&
    createLtePath({
      interface: lte.interface,
      source: () => lteSource(lte.interface, lte.source),
      resolvers: () => [...lte.resolvers, ...PUBLIC],
      namesFile: over("lte"),
    });
  const paths = [ltePath, primaryPath].filter((path) => path !== null);
  let prober: Prober | null = null;
  let stops: (() => void)[] = [];
  return {
    paths: paths.length === 0 ? undefined : paths,
    start(emit) {
      if (primary !== null && primaryPath !== null) {
        prober = createProber({
          interface: primary.interface,
          anchors: primary.probe.anchors,
          otherResolver: primary.probe.resolver,
          page: primary.probe.page,
          brokers: config.brokers,
          path: primaryPath,
          resolvers,
          tell: (round) => emit({ type: "uplink-probed", uplink: "primary", round }),
        });
        stops.push(prober.stop);
      }
      if (lte !== null) stops.push(watchLte(lte.interface, emit), keepRules(lte.interface, lte.source, emit));
    },
    nudge: () => prober?.nudge(),
    stop() {
      for (const stop of stops) stop();
      stops = [];
    },
  };
}

/** What its device says: not a byte is spent on it. */
function watchLte(device: string, emit: (event: Event) => void): () => void {
  let before = "";
  const look = (): void => {
    const { carrier, addresses } = localFacts(device);
    const now = JSON.stringify([carrier, addresses]);
    if (now === before) return;
    before = now;
    const silent = { anchors: [], dns: { own: null, other: null }, page: null, broker: null, gateway: null };
    const round = { ...silent, interface: device, carrier, addresses };
    emit({ type: "uplink-probed", uplink: "lte", round });
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  return () => clearInterval(timer);
}

/** Each minute by looking, and with the helper when something is missing, when the address changed, and now and then. */
function keepRules(device: string, kind: "fixed" | "bearer", emit: (event: Event) => void): () => void {
  const socket = process.env.TOWPATH_NET_SOCKET ?? HELPER_SOCKET;
  let looks = 0;
  let told = "";
  let known = "";
  let busy = false;
  const tell = (detail: string): void => {
    if (detail !== told) emit({ type: "uplink-drifted", detail });
    told = detail;
  };
  const look = async (): Promise<void> => {
    const own = addressesOf(device);
    const fresh = own.join() !== known;
    known = own.join();
    const families = [own.some((one) => !one.includes(":")), own.some((one) => one.includes(":"))] as const;
    const fixed = [...(families[0] ? [FIXED.v4] : []), ...(families[1] ? [FIXED.v6] : [])];
    const missing = await missingRules(kind === "fixed" ? fixed : own, device).catch((error) => String(error));
    if (missing === null && !fresh && looks++ % MEND_EVERY !== 0) return;
    const answer = await askHelper(socket, { do: "apply" });
    // What the first look and a new address bring is no drift.
    if (answer.ok) told = answer.mended.length === 0 || fresh ? "" : told;
    if (answer.ok && answer.mended.length > 0 && !fresh) tell(`mended: ${answer.mended.join("; ")}`);
    if (!answer.ok && missing !== null) tell(`${missing}; not mended: ${answer.error}`);
  };
  const guarded = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    // What cannot be looked at now is looked at again in a minute.
    await look().catch(() => undefined);
    busy = false;
  };
  void guarded();
  const timer = setInterval(() => void guarded(), WATCH_MS);
  const addresses = setInterval(() => {
    if (addressesOf(device).join() !== known) void guarded();
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    clearInterval(addresses);
  };
}
