import { connect } from "node:net";
import type { Path } from "../link/path.ts";

/** A person's machine: its routes and its names, whatever they are made of (a VPN, mDNS, a file). */
export const machinePath: Path = {
  uplink: "primary",
  connect: (host, port, signal) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, signal });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.removeListener("error", reject);
        resolve(socket);
      });
    }),
};
