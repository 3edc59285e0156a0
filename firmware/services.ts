import type { Event } from "../src/core/events.ts";
import type { Link } from "../src/link/link.ts";
import { createStreams, type Streams } from "../src/link/streams.ts";
import type { ConsoleAccess } from "./console-access.ts";

/** What streams into this site lead to. */

interface Parts {
  readonly link: Link;
  readonly access: ConsoleAccess;
  readonly emit: (event: Event) => void;
}

export function createSiteStreams({ link, access, emit }: Parts): Streams {
  return createStreams({
    services: {
      console: (stream, { id: _, console, mode, who, via }) => {
        if (console === null) return { ok: false, code: "console.unknown", detail: "" };
        access.attach(stream, { console, mode, who, from: via === "local" ? "socket" : via });
        return { ok: true };
      },
    },
    send: link.sendStream,
    emit,
  });
}
