import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";

/** A way out of the guest: the one address that answers there is a loopback port of this machine. */
export interface Uplink {
  /** The interface's name in the guest. */
  readonly interface: string;
  /** What the guest connects to: `192.168.50.100:1883` (primary), `10.64.0.100:1883` (lte). */
  readonly address: string;
  /** Bytes that went up (from the guest) and down since the start, and connections that were taken. */
  readonly count: { readonly up: number; readonly down: number; readonly connections: number };
  /** Which loopback port of this machine answers there. Until it is said, connections are closed at once. */
  reach(port: number): void;
  /** Ends the connections that are open now; new ones are still taken. */
  drop(): void;
  /** `silent`: nothing passes and nobody is told, as when a carrier is gone. `open`: as it was; what waited passes. */
  pass(mode: "open" | "silent"): void;
  /** The cable: a carrier loss on a virtio card; a USB card keeps its carrier and goes dead. */
  cable(state: "in" | "out"): Promise<void>;
}

/** An uplink with what the machine needs to wire it. */
export interface WiredUplink extends Uplink {
  /** The socket that qemu's forwarder connects to. */
  readonly socketPath: string;
  /** How its card's link is set, once there is a machine. */
  wire(setLink: (up: boolean) => Promise<unknown>): void;
  /** Sets the link as it was, on a machine that has just been started. */
  rewire(): Promise<void>;
  close(): void;
}

interface UplinkOptions {
  readonly name: string;
  readonly interface: string;
  readonly address: string;
  readonly folder: string;
}

/** Takes the guest's connections on a socket of its own and passes them to whatever port `reach` says. */
export async function openUplink(options: UplinkOptions): Promise<WiredUplink> {
  const open = new Set<Socket>();
  const count = { up: 0, down: 0, connections: 0 };
  let port: number | null = null;
  let silent = false;
  let cabled = true;
  let setLink: (up: boolean) => Promise<unknown> = async () => undefined;

  const pipe = (from: Socket, to: Socket, direction: "up" | "down") => {
    open.add(from);
    if (silent) from.pause();
    from.on("data", (bytes) => {
      count[direction] += bytes.length;
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => silent || from.resume());
      }
    });
    from.on("close", () => {
      open.delete(from);
      to.destroy();
    });
    // An end that breaks is an end: `close` follows.
    from.on("error", () => to.destroy());
  };
  const server = createServer((guest) => {
    if (port === null) return void guest.destroy();
    count.connections++;
    const here = createConnection({ host: "127.0.0.1", port });
    pipe(guest, here, "up");
    pipe(here, guest, "down");
  });
  const socketPath = join(options.folder, `${options.name}.sock`);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    interface: options.interface,
    address: options.address,
    count,
    socketPath,
    reach(to) {
      port = to;
    },
    drop() {
      for (const socket of open) socket.destroy();
    },
    pass(mode) {
      silent = mode === "silent";
      for (const socket of open) silent ? socket.pause() : socket.resume();
    },
    async cable(state) {
      cabled = state === "in";
      await setLink(cabled);
    },
    wire(how) {
      setLink = how;
    },
    async rewire() {
      if (!cabled) await setLink(false);
    },
    close() {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
