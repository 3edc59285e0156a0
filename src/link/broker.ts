import { createServer, type Server } from "node:net";
import { Aedes } from "aedes";

/** An embedded broker for demos and tests, on loopback. Real sites use a real one. */
export interface Broker {
  readonly port: number;
  stop(): Promise<void>;
}

/** Rejects with `EADDRINUSE` when the port is taken. Port 0: any free one. */
export async function startBroker(port: number): Promise<Broker> {
  const aedes = await Aedes.createBroker();
  const server: Server = createServer((socket) => {
    socket.setNoDelay(true);
    aedes.handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  }).catch(async (error: unknown) => {
    // Its timers would keep the process alive.
    await new Promise<void>((resolve) => aedes.close(() => resolve()));
    throw error;
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    stop: () =>
      new Promise((resolve) => {
        aedes.close(() => server.close(() => resolve()));
      }),
  };
}
