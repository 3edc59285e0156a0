import type { Socket } from "node:net";

/** How a connection leaves the site. Made by `uplink/`, used by `link/`. */
export interface Path {
  readonly uplink: "primary" | "lte";
  /**
   * A connected TCP socket from this path's own address; the name was asked of this path's own resolver, never of the
   * machine's. TLS is the caller's. Rejects with an Error whose message says which step failed and with what.
   */
  connect(host: string, port: number, signal: AbortSignal): Promise<Socket>;
}
