import { connect } from "node:net";
import type { Service } from "../link/streams.ts";

/** The machine's own sshd, for who may do everything: what it asks of him is its own matter. */
export function createShell(port: number): Service {
  return (stream) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.setNoDelay(true);
    stream.pipe(socket).pipe(stream);
    socket.once("error", (error) => stream.destroy(error));
    stream.once("close", () => socket.destroy());
    return { ok: true };
  };
}
