import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A thin, long line between an operator and a broker: so many bytes a second come back, and it can be cut. */
export interface SlowLink {
  readonly port: number;
  /** Every connection dies, and none is made until `mend`. */
  cut(): void;
  mend(): void;
}

const TICK_MS = 20;

export async function slowLink(brokerPort: number, bytesPerSecond: number): Promise<SlowLink> {
  const sockets = new Set<Socket>();
  let whole = true;
  const server = createServer((near) => {
    if (!whole) return void near.destroy();
    const far = connect(brokerPort, "127.0.0.1");
    let waiting: Buffer[] = [];
    const share = Math.max(1, Math.round((bytesPerSecond * TICK_MS) / 1_000));
    const timer = setInterval(() => {
      const all = Buffer.concat(waiting);
      waiting = all.length > share ? [all.subarray(share)] : [];
      if (all.length > 0) near.write(all.subarray(0, share));
      // What the line has not carried stays with the sender, as on a real one.
      if (all.length > 8 * share) far.pause();
      else far.resume();
    }, TICK_MS);
    far.on("data", (bytes) => void waiting.push(bytes));
    near.on("data", (bytes) => void far.write(bytes));
    for (const one of [near, far]) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        clearInterval(timer);
        near.destroy();
        far.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(() => {
    end();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    cut() {
      whole = false;
      end();
    },
    mend() {
      whole = true;
    },
  };
}
