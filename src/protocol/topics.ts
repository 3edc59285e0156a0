import { createHash } from "node:crypto";

/** The topic table (design, section 6). `asyncapi.yaml` says the same to other programs; a test compares the two. */
export const TOPICS = {
  "up/link/{uplink}": { retained: true, signed: false, qos: 1 },
  "up/birth": { retained: true, signed: true, qos: 1 },
  "up/state": { retained: true, signed: true, qos: 1 },
  "up/telemetry": { retained: false, signed: false, qos: 1 },
  "up/event": { retained: false, signed: false, qos: 1 },
  "up/capture/{console}/{track}": { retained: false, signed: false, qos: 1 },
  "up/reply": { retained: false, signed: true, qos: 1 },
  "up/stream/{id}": { retained: false, signed: false, qos: 0 },
  "dn/stream/{id}": { retained: false, signed: false, qos: 0 },
  "dn/command": { retained: false, signed: true, qos: 1 },
  "dn/ack": { retained: true, signed: true, qos: 1 },
} as const;

/** 128 random bits. */
const STREAM_ID = /^[0-9a-f]{32}$/;

export const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** First two hex digits of SHA-256 of `{fleet}/{site}`: consumers share the fleet by it. */
export function shardOf(fleet: string, site: string): string {
  return createHash("sha256").update(`${fleet}/${site}`).digest("hex").slice(0, 2);
}

export function siteRoot(fleet: string, site: string): string {
  return `towpath/1/${shardOf(fleet, site)}/${fleet}/${site}`;
}

export type SiteTopic =
  | { name: "up/link/{uplink}"; uplink: string }
  | { name: "up/birth" | "up/state" | "up/telemetry" | "up/event" | "up/reply" | "dn/command" | "dn/ack" }
  | { name: "up/stream/{id}" | "dn/stream/{id}"; id: string }
  | { name: "up/capture/{console}/{track}"; console: string; track: "rx" | "tx" };

export function topicText(root: string, topic: SiteTopic): string {
  switch (topic.name) {
    case "up/link/{uplink}":
      return `${root}/up/link/${topic.uplink}`;
    case "up/capture/{console}/{track}":
      return `${root}/up/capture/${topic.console}/${topic.track}`;
    case "up/stream/{id}":
    case "dn/stream/{id}":
      return `${root}/${topic.name.slice(0, -"{id}".length)}${topic.id}`;
    default:
      return `${root}/${topic.name}`;
  }
}

export interface ParsedTopic {
  readonly fleet: string;
  readonly site: string;
  readonly topic: SiteTopic;
}

/** Null for anything that is not in the table. */
export function parseTopic(text: string): ParsedTopic | null {
  const [head, version, shard, fleet, site, ...rest] = text.split("/");
  if (head !== "towpath" || version !== "1" || fleet === undefined || site === undefined) return null;
  if (!NAME.test(fleet) || !NAME.test(site) || shard !== shardOf(fleet, site)) return null;
  const topic = parseTail(rest);
  return topic && { fleet, site, topic };
}

function parseTail(tail: readonly string[]): SiteTopic | null {
  const [way, kind, first, second] = tail;
  const plain = `${way}/${kind}`;
  if (tail.length === 2 && isPlain(plain)) return { name: plain };
  if (tail.length === 3 && plain === "up/link" && first !== undefined && NAME.test(first)) {
    return { name: "up/link/{uplink}", uplink: first };
  }
  if (tail.length === 3 && first !== undefined && STREAM_ID.test(first)) {
    if (plain === "up/stream" || plain === "dn/stream") return { name: `${plain}/{id}`, id: first };
  }
  const track = second === "rx" || second === "tx" ? second : null;
  if (tail.length === 4 && plain === "up/capture" && first !== undefined && NAME.test(first) && track) {
    return { name: "up/capture/{console}/{track}", console: first, track };
  }
  return null;
}

type PlainName = Extract<SiteTopic, { name: "up/event" }>["name"];

function isPlain(name: string): name is PlainName {
  return ["up/birth", "up/state", "up/telemetry", "up/event", "up/reply", "dn/command", "dn/ack"].includes(name);
}

/** MQTT topic filters: `+` one level, `#` the rest. */
export function filterMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  for (const [index, want] of wanted.entries()) {
    if (want === "#") return true;
    const level = levels[index];
    if (level === undefined || (want !== "+" && want !== level)) return false;
  }
  return wanted.length === levels.length;
}
