import { isIP, Socket, type TcpSocketConnectOpts } from "node:net";
import { boundSocket } from "../linux/bound-socket.ts";

/** One attempt at one address. There is never a name here, so nobody can be asked for one. */

export type Family = 4 | 6;

export function familyOf(address: string): Family {
  return isIP(address) === 6 ? 6 : 4;
}

/** From this address of ours; where that is routed is the rules' business. */
export function reachFrom(source: string, address: string, port: number, signal: AbortSignal, limitMs: number) {
  const options = { host: address, port, localAddress: source, autoSelectFamily: false };
  return settled(new Socket(), options, signal, limitMs);
}

/** Out of this device and no other. */
export async function reachThrough(
  device: string,
  address: string,
  port: number,
  signal: AbortSignal,
  limitMs: number,
): Promise<Socket> {
  const fd = boundSocket("tcp", familyOf(address), device);
  // `manualStart`: it is not read before it is connected.
  const socket = new Socket({ fd, readable: true, writable: true, manualStart: true } as { fd: number });
  return settled(socket, { host: address, port, autoSelectFamily: false }, signal, limitMs);
}

function settled(socket: Socket, options: TcpSocketConnectOpts, signal: AbortSignal, limitMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
      socket.removeListener("error", fail);
    };
    const fail = (error: Error): void => {
      done();
      socket.on("error", () => undefined);
      socket.destroy();
      reject(error);
    };
    const giveUp = (): void => fail(new Error("given up"));
    const timer = setTimeout(() => fail(new Error(`no answer within ${limitMs / 1_000} s`)), limitMs);
    if (signal.aborted) return giveUp();
    signal.addEventListener("abort", giveUp);
    socket.once("error", fail);
    socket.connect(options, () => {
      done();
      resolve(socket);
    });
  });
}
