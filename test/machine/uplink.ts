/** A way out of the guest: the one address that answers there is a loopback port of this machine. */
export interface Uplink {
  /** The interface's name in the guest. */
  readonly interface: string;
  /** What the guest connects to: `192.168.50.100:1883` (primary), `10.64.0.100:1883` (lte). */
  readonly address: string;
  /** Bytes that went up (from the guest) and down since the start. */
  readonly bytes: { readonly up: number; readonly down: number };
  /** Which loopback port of this machine answers there. Until it is said, connections are closed at once. */
  reach(port: number): void;
  /** Ends the connections that are open now; new ones are still taken. */
  drop(): void;
  /** `silent`: nothing passes and nobody is told. `open`: as it was. */
  pass(mode: "open" | "silent"): void;
  /** The cable: a carrier loss in the guest (the Pi's and the LTE's USB links keep their carrier and go dead). */
  cable(state: "in" | "out"): Promise<void>;
}
