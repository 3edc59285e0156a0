import { z } from "zod";
import { parseJson } from "../protocol/envelope.ts";
import type { GapSum, RecentGap } from "./held.ts";
import type { HookCounts } from "./hooks.ts";
import type { CollectedSite } from "./site.ts";
import { subjectOf } from "./wishes.ts";

/** `status.json`: how things stood when the service wrote it. `report.ts` judges it later, without the service. */

const time = z.number().nullable();
const sum = z.object({ count: z.number(), bytes: z.number(), unknown: z.number() });

const consoleSchema = z.object({
  bytes: z.number(),
  lastByte: z.object({ heard: z.number(), wall: time }).nullable(),
  gaps: z.record(z.string(), sum),
  recent: z.array(
    z.object({
      cause: z.string(),
      length: time,
      count: z.number().optional(),
      boot: z.number(),
      offset: z.number(),
      heard: z.number(),
    }),
  ),
  /** What the site has and is not here. */
  holes: z.array(
    z.object({ boot: z.number(), from: z.number(), to: z.number(), since: z.number(), torn: z.boolean() }),
  ),
  damaged: z.number(),
  /** Why the last question for it brought nothing. */
  problem: z.string().nullable().default(null),
});
export type ConsoleStatus = z.infer<typeof consoleSchema>;

const storageSchema = z.object({ state: z.enum(["ok", "degraded"]), detail: z.string() }).nullable();

const siteSchema = z.object({
  online: z.boolean().nullable(),
  since: time,
  heard: time,
  verified: z.boolean().nullable(),
  forged: z.number(),
  /** When the last of them came. */
  forgedAt: time.default(null),
  storage: storageSchema,
  ackedAt: time,
  /** Why the last question to the site brought nothing. */
  problem: z.string().nullable(),
  events: z.object({
    next: z.number(),
    bytes: z.number(),
    lost: z.number(),
    lostAt: time.default(null),
    missing: z.number(),
  }),
  /** Its ledger went back: when that was found, and how far the one before went. */
  renumbered: z.object({ at: z.number(), had: z.number(), next: z.number() }).nullable().default(null),
  consoles: z.record(z.string(), consoleSchema),
});
export type SiteStatus = z.infer<typeof siteSchema>;

const stateSince = z.object({ state: z.string(), detail: z.string(), since: z.number() });

const fileSchema = z.object({
  v: z.literal(1),
  at: z.number(),
  receiver: z.string(),
  /** Null once the service has ended. */
  pid: z.number().nullable(),
  startedAt: z.number(),
  connection: stateSince,
  disk: stateSince,
  /** Why acknowledgements and questions cannot be signed. */
  signing: z.string().nullable(),
  hooks: z.object({ ran: z.number(), failed: z.number(), dropped: z.number() }),
  sites: z.record(z.string(), siteSchema),
  /** Sites and consoles whose files here the disk does not give: path, and what it says. */
  unreadable: z.record(z.string(), z.string()).default({}),
});
export type StatusFile = z.infer<typeof fileSchema>;

/** Null when it is not what the service writes. */
export function readStatusFile(text: string | Uint8Array): StatusFile | null {
  return fileSchema.safeParse(parseJson(text)).data ?? null;
}

/** What a service that starts takes over from the one before. */
export interface SiteMemory {
  readonly presence: { readonly online: boolean | null; readonly since: number | null; readonly heard: number | null };
  readonly storage: SiteStatus["storage"];
  readonly forged: number;
  readonly forgedAt: number | null;
  readonly ackedAt: number | null;
  readonly eventsLost: number;
  readonly eventsLostAt: number | null;
  readonly renumbered: SiteStatus["renumbered"];
}

export function memoryOf(status: SiteStatus | undefined): SiteMemory | null {
  if (status === undefined) return null;
  const { online, since, heard, storage, forged, forgedAt, ackedAt, events, renumbered } = status;
  return {
    presence: { online, since, heard },
    storage,
    forged,
    forgedAt,
    ackedAt,
    eventsLost: events.lost,
    eventsLostAt: events.lostAt,
    renumbered,
  };
}

function statusOfSite(site: CollectedSite): SiteStatus {
  const hole = site.events.hole();
  const consoles = site.tracks.all.map(({ console, way, intake, store }): [string, ConsoleStatus] => [
    way === "rx" ? console : `${console}.${way}`,
    {
      bytes: store.held.bytes,
      lastByte: store.held.lastByte,
      gaps: Object.fromEntries<GapSum>(store.held.gaps),
      recent: store.held.recent.map((gap): RecentGap => gap),
      holes: intake.holes(),
      damaged: store.damaged,
      problem: site.backoffs.problemOf(subjectOf({ console, way })),
    },
  ]);
  return {
    ...site.presence.state,
    verified: site.verified,
    forged: site.forged,
    forgedAt: site.forgedAt,
    storage: site.storage,
    ackedAt: site.ackedAt,
    problem: site.asking.problem,
    renumbered: site.renumbered,
    events: {
      next: site.events.next,
      bytes: site.events.store.bytes,
      lost: site.events.lost,
      lostAt: site.events.lostAt,
      missing: hole === null ? 0 : hole.to - hole.from,
    },
    consoles: Object.fromEntries(consoles),
  };
}

export type CollectorStatus = Omit<StatusFile, "v" | "sites" | "hooks"> & { readonly hooks: HookCounts };

export function encodeStatus(status: CollectorStatus, sites: readonly CollectedSite[]): string {
  const all = sites.map((site) => [`${site.fleet}/${site.site}`, statusOfSite(site)] as const);
  const tracks = sites.flatMap((site) =>
    [...site.tracks.unreadable].map(([track, problem]) => [`${site.fleet}/${site.site}/${track}`, problem] as const),
  );
  const unreadable = { ...status.unreadable, ...Object.fromEntries(tracks) };
  const file: StatusFile = { v: 1, ...status, sites: Object.fromEntries(all), unreadable };
  return JSON.stringify(file);
}
