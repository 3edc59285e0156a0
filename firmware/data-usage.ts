import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SiteConfig } from "../src/config/config.ts";
import { type Account, EMPTY_ACCOUNT, grownBy, spend } from "../src/core/budget.ts";
import type { Event } from "../src/core/events.ts";
import { writeWhole } from "../src/disk/disk.ts";
import type { Link } from "../src/link/link.ts";
import type { MachineFiles } from "../src/linux/machine-files.ts";
import { isRecord, parseJson } from "../src/protocol/envelope.ts";

/**
 * Every byte on LTE: what its network card counts, over resets of card and machine, and what of it our own sockets know
 * by purpose. Kept on the card each quarter of an hour; a power cut forgets at most that much.
 */
export interface DataUsage {
  stop(): void;
}

export interface DataUsageOptions {
  readonly config: Pick<SiteConfig, "data" | "uplinks">;
  readonly files: Pick<MachineFiles, "read">;
  readonly link: Pick<Link, "usage">;
  readonly boot: number;
  /** Unix ms; null while nobody knows. */
  readonly wallMs: () => number | null;
  readonly emit: (event: Extract<Event, { type: "data-counted" }>) => void;
}

const COUNT_MS = 60_000;
const SAVE_EVERY = 15;

interface Kept {
  readonly boot: number;
  /** What the card's counters said last. */
  readonly card: number;
  readonly account: Account;
}

/** Nothing where the site has no LTE. */
export function countData(options: DataUsageOptions): DataUsage {
  const { config, boot } = options;
  const { lte } = config.uplinks;
  if (lte === null) return { stop: () => undefined };
  const file = join(config.data, "data-usage.json");
  const kept = readKept(file);
  // Those of another boot are gone: this one's began at nothing.
  let card = kept?.boot === boot ? kept.card : 0;
  let account = kept?.account ?? EMPTY_ACCOUNT;
  let sockets: Readonly<Record<string, number>> = {};
  let counts = 0;
  const count = (): void => {
    const now = socketCounts(options.link);
    const spent = Object.fromEntries(
      Object.entries(now).map(([name, bytes]) => [name, grownBy(sockets[name] ?? 0, bytes)]),
    );
    sockets = now;
    const ours = Object.values(spent).reduce((sum, one) => sum + one, 0);
    const total = cardCount(options.files, lte.interface);
    // Headers of packets, names, time, and whatever else uses the card. Absent while the modem is: nothing is spent.
    const other = total === null ? 0 : Math.max(0, grownBy(card, total) - ours);
    card = total ?? card;
    const wall = options.wallMs();
    account = spend(account, { ...spent, other }, wall === null ? null : new Date(wall).toISOString().slice(0, 10));
    options.emit({ type: "data-counted", budget: lte.budget, account });
  };
  const save = (): void => {
    try {
      writeWhole(file, JSON.stringify({ v: 1, boot, card, account }));
    } catch {
      // A card that takes nothing now: the next quarter of an hour.
    }
  };
  count();
  const timer = setInterval(() => {
    count();
    if (++counts % SAVE_EVERY === 0) save();
  }, COUNT_MS);
  return {
    stop() {
      clearInterval(timer);
      count();
      save();
    },
  };
}

/** By urgency what was published; `connection`: handshakes, pings, acknowledgements and what came in. */
function socketCounts(link: Pick<Link, "usage">): Record<string, number> {
  const usage = link.usage("lte");
  if (usage === null) return {};
  const published = Object.values(usage.published).reduce((sum, one) => sum + one, 0);
  return { ...usage.published, connection: Math.max(0, usage.sent + usage.received - published) };
}

function cardCount(files: Pick<MachineFiles, "read">, card: string): number | null {
  const read = (what: string) => Number(files.read(`/sys/class/net/${card}/statistics/${what}`) ?? Number.NaN);
  const both = read("rx_bytes") + read("tx_bytes");
  return Number.isFinite(both) ? both : null;
}

function readKept(file: string): Kept | null {
  try {
    const value = parseJson(readFileSync(file, "utf8"));
    if (!isRecord(value) || !isRecord(value.account)) return null;
    const { today, day, month, by } = value.account;
    if (typeof today !== "string" || typeof day !== "number" || typeof month !== "number" || !isRecord(by)) return null;
    const counts = Object.entries(by).filter((one): one is [string, number] => typeof one[1] === "number");
    const account = { today, day, month, by: Object.fromEntries(counts) };
    return { boot: Number(value.boot), card: Number(value.card) || 0, account };
  } catch {
    return null;
  }
}
