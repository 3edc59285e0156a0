import { join } from "node:path";
import { createShell } from "../src/access/shell.ts";
import { createSshd, type Login, prepareSshd } from "../src/access/sshd.ts";
import type { SiteConfig } from "../src/config/config.ts";
import type { Connection, Event } from "../src/core/events.ts";
import type { Link } from "../src/link/link.ts";
import { createStreams, type Streams } from "../src/link/streams.ts";
import { parseTopic } from "../src/protocol/topics.ts";
import type { LogLine } from "../src/site/edges.ts";
import type { ConsoleAccess } from "./console-access.ts";
import { monoMs } from "./machine.ts";

/** What streams into this site lead to. */

interface Parts {
  readonly config: SiteConfig;
  readonly link: Link;
  readonly access: ConsoleAccess;
  readonly emit: (event: Event) => void;
  readonly log: (line: LogLine) => void;
}

interface SiteStreams extends Streams {
  /** True when the message was a frame of one. */
  took(message: { via: Connection; topic: string; payload: Uint8Array }): boolean;
}

const OWN_SSHD = 22;

export function createSiteStreams({ config, link, access, emit, log }: Parts): SiteStreams {
  const streams = createStreams({
    services: {
      console: (stream, { id: _, console, mode, who, via }) => {
        if (console === null) return { ok: false, code: "console.unknown", detail: "" };
        access.attach(stream, { console, mode, who, from: via === "local" ? "socket" : via });
        return { ok: true };
      },
      ssh: createSshd({
        data: config.data,
        forwards: config.access.forwards,
        command: [process.execPath, ownProgram(), "console", "--local", config.socket, "--"],
        told: (said) => log({ level: "info", code: "login", said }),
      }),
      shell: createShell(OWN_SSHD),
    },
    send: link.sendStream,
    emit,
    monoMs,
  });
  return {
    ...streams,
    took({ via, topic, payload }) {
      const parsed = parseTopic(topic)?.topic;
      if (parsed?.name !== "dn/stream/{id}") return false;
      streams.frame(via, parsed.id, payload);
      return true;
    },
  };
}

/** Beside this file, in a checkout and when built. */
function ownProgram(): string {
  return join(import.meta.dirname, "../src/towpath.mjs");
}

/** How to log in at this site; told in the log and in its state. */
export function prepareLogins(data: string, log: (line: LogLine) => void): Login | null {
  const login = prepareSshd(data);
  if (login === null)
    log({ level: "warn", code: "login.none", detail: "no sshd or ssh-keygen: no `towpath ssh` here" });
  else log({ level: "info", code: "login.key", user: login.user, key: login.hostKey });
  return login;
}
