import type { SiteConfig } from "../src/config/config.ts";
import type { Connection, Event } from "../src/core/events.ts";
import { createLink, type Link, type LinkOptions, type ShipWay } from "../src/link/link.ts";
import type { Path } from "../src/link/path.ts";
import { plainPath } from "../src/link/plain-path.ts";
import type { Message } from "../src/link/transport.ts";
import { keepaliveMemory } from "./keepalive-memory.ts";

/** The connections of a site, as its config says. */

export interface SiteLinkParts {
  readonly config: SiteConfig;
  /** None: the machine's own routes. */
  readonly paths?: readonly Path[];
  /** Where the local socket is. */
  readonly socket: string;
  readonly boot: number;
  readonly start: number;
  readonly receive: (message: Message & { via: Connection }) => void;
  readonly emit: (event: Event) => void;
  readonly shipper: () => { way(way: ShipWay): void; room(): void };
  readonly streams: LinkOptions["streams"];
  readonly datesHold: NonNullable<LinkOptions["datesHold"]>;
}

export function createSiteLink({ config, boot, start, ...parts }: SiteLinkParts): Link {
  const { fleet, site } = config.plan;
  return createLink({
    ...{ fleet, site, boot, start },
    brokers: config.brokers,
    tls: config.tls,
    paths: parts.paths ?? [plainPath()],
    socket: parts.socket,
    random: Math.random,
    receive: parts.receive,
    emit: parts.emit,
    shipping: (way) => parts.shipper().way(way),
    room: () => parts.shipper().room(),
    keepalive: keepaliveMemory(config.data),
    ...(parts.streams && { streams: parts.streams }),
    datesHold: parts.datesHold,
  });
}
