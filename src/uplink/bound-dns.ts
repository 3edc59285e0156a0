import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { boundSocket } from "../linux/bound-socket.ts";
import { dnsAnswer, dnsQuestion } from "./dns-message.ts";
import { familyOf } from "./reach.ts";

/** One question to one server, out of one device. Null: no answer in time. Rejects where nothing could be sent. */
export function askThrough(
  device: string,
  server: string,
  name: string,
  family: 4 | 6,
  limitMs: number,
): Promise<string[] | null> {
  return new Promise((resolve, reject) => {
    const id = randomInt(0x10000);
    const socket = createSocket(familyOf(server) === 4 ? "udp4" : "udp6");
    const end = (answer: string[] | null): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(() => end(null), limitMs);
    socket.on("error", (error) => {
      clearTimeout(timer);
      socket.close();
      reject(error);
    });
    socket.on("message", (message, from) => {
      if (from.address !== server) return;
      const answer = dnsAnswer(message, id, family);
      if (answer !== null) end(answer);
    });
    try {
      socket.bind({ fd: boundSocket("udp", familyOf(server), device) });
      // A question that nobody takes shows as an error, or as silence.
      socket.send(dnsQuestion(id, name, family), 53, server, (error) => error !== null && end(null));
    } catch (error) {
      end(null);
      if (error instanceof TypeError) reject(error);
    }
  });
}
