import type { Event } from "../src/core/events.ts";
import type { Link } from "../src/link/link.ts";
import { createStreams, type Streams } from "../src/link/streams.ts";

/** What streams into this site lead to. */

interface Parts {
  readonly link: Link;
  readonly emit: (event: Event) => void;
}

export function createSiteStreams({ link, emit }: Parts): Streams {
  return createStreams({
    services: {},
    send: link.sendStream,
    emit,
  });
}
