import type { SiteConfig } from "../src/config/config.ts";
import type { Clock } from "../src/core/clock.ts";
import type { Event } from "../src/core/events.ts";
import type { Link } from "../src/link/link.ts";
import { machineFiles } from "../src/linux/machine-files.ts";
import { countData } from "./data-usage.ts";
import { keepTime } from "./site-time.ts";

/** What a site does beside its LTE connection: it counts what that costs, and asks for the time over it. */
export function watchLte(parts: {
  readonly config: SiteConfig;
  readonly link: Link;
  readonly boot: number;
  readonly emit: (event: Event) => void;
  readonly clock: () => Clock | null;
  readonly floorMs: () => number;
}): { stop(): void } {
  const { config, link, boot, emit, clock, floorMs } = parts;
  const counting = countData({
    ...{ config, link, boot, emit, files: machineFiles() },
    wallMs: () => trusted(clock()),
  });
  const time =
    config.uplinks.lte === null
      ? null
      : keepTime({ servers: config.time, from: () => link.address("lte"), clock, floorMs, emit });
  return {
    stop() {
      counting.stop();
      time?.stop();
    },
  };
}

function trusted(clock: Clock | null): number | null {
  return clock === null || clock.trust === "none" ? null : clock.wallMs;
}
