import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import type { SiteConfig } from "../src/config/config.ts";
import type { Capture } from "../src/console/capture.ts";
import { type Listeners, startListeners } from "../src/console/listeners/listeners.ts";
import type { Port } from "../src/console/port.ts";
import { createSessions, type Sessions } from "../src/console/sessions.ts";
import { attachStream, type Opened } from "../src/console/stream-session.ts";
import type { Event } from "../src/core/events.ts";
import { ownerOfConsole } from "../src/core/plan.ts";
import type { Journal } from "../src/journal/journal.ts";
import type { LogLine } from "../src/site/edges.ts";

/** How people and programs reach a site's consoles: sessions in streams, and the listeners of the config. */

export interface ConsoleAccess {
  readonly sessions: Sessions;
  /** A stream that was opened to a console. */
  attach(stream: Duplex, opened: Opened): void;
  /** Opens the listeners; before that nobody is heard. */
  start(): void;
  stop(): Promise<void>;
}

interface Parts {
  readonly config: SiteConfig;
  readonly ports: ReadonlyMap<string, Port>;
  readonly capture: () => Capture;
  readonly journal: Journal;
  readonly boot: number;
  readonly monoMs: () => number;
  readonly emit: (event: Event) => void;
  readonly log: (line: LogLine) => void;
}

export function openConsoleAccess(parts: Parts): ConsoleAccess {
  const { config, ports, capture, journal, boot, monoMs, emit, log } = parts;
  let sessionsMade = 0;
  const sessions = createSessions({
    consoles: config.consoles.flatMap(({ name, paste: pacing, sequences }) => {
      const port = ports.get(name);
      return port === undefined ? [] : [{ name, device: ownerOfConsole(config.plan, name), port, pacing, sequences }];
    }),
    write: (console, bytes) => capture().write(console, bytes),
    watch(console, untilMs, person) {
      capture().watch(console, untilMs);
      if (person) journal.watched(untilMs);
    },
    monoMs,
    newId: () => `s${++sessionsMade}`,
    emit,
  });
  const head = (console: string): number => capture().heads()[`${console}/rx`] ?? 0;
  let listeners: Listeners | null = null;
  return {
    sessions,
    attach: (stream, opened) => attachStream({ sessions, boot, head, journal, monoMs }, stream, opened),
    start() {
      listeners = startListeners({
        listeners: config.access.listeners,
        sessions,
        forbidden: () => addressesOf(config.uplinks.lte?.interface),
        told: (at, why) =>
          why === null
            ? log({ level: "info", code: "listener.ready", at })
            : log({ level: "error", code: "listener.unavailable", at, detail: why }),
      });
    },
    async stop() {
      sessions.stop();
      await listeners?.stop();
    },
  };
}

function addressesOf(name: string | undefined): string[] {
  return name === undefined ? [] : (networkInterfaces()[name] ?? []).map(({ address }) => address);
}
