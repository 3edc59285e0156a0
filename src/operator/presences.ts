import { isRecord, parseJson } from "../protocol/envelope.ts";

/** What the broker last heard of each connection of a site: one that is there is enough. */
export class Presences {
  private readonly byUplink = new Map<string, Readonly<Record<string, unknown>>>();

  say(uplink: string, payload: Uint8Array): void {
    const said = parseJson(payload);
    if (isRecord(said)) this.byUplink.set(uplink, said);
  }

  /** Null until anything was said. */
  best(): Readonly<Record<string, unknown>> | null {
    const all = [...this.byUplink.values()];
    return all.find(({ state }) => state === "online") ?? all.at(-1) ?? null;
  }
}
