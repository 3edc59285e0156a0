import { createSocket } from "node:dgram";
import { createServer } from "node:net";

/** What answers in a namespace of the lab: `dns ADDRESS`, `listen ADDRESS PORT`, `page ADDRESS PORT STATUS`. */

const NAMES: Record<string, { 1?: string; 28?: string }> = {
  "broker.test": { 1: "203.0.113.10", 28: "2001:db8:1::10" },
};

function dns(address: string): void {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (question, from) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
      labels.push(question.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = question.readUInt16BE(at + 1);
    const known = NAMES[labels.join(".").toLowerCase()];
    const found = type === 1 || type === 28 ? known?.[type] : undefined;
    const head = Buffer.alloc(12);
    question.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8180 | (known === undefined ? 3 : 0), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(found === undefined ? 0 : 1, 6);
    const data = found === undefined ? Buffer.alloc(0) : bytesOf(found);
    const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length]);
    const reply = Buffer.concat([head, question.subarray(12, at + 5), ...(found ? [record, data] : [])]);
    socket.send(reply, from.port, from.address);
  });
  socket.bind(53, address);
}

function bytesOf(address: string): Buffer {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail = ""] = address.split("::").map((part) => part.split(":").filter(Boolean));
  const words = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => "0"), ...tail];
  return Buffer.from(words.map((word) => word.padStart(4, "0")).join(""), "hex");
}

function listen(address: string, port: number, status: string | null): void {
  createServer((socket) => {
    socket.on("error", () => socket.destroy());
    if (status !== null) socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  }).listen(port, address);
}

for (const word of process.argv.slice(2)) {
  const [what, address = "", port, status] = word.split(",");
  if (what === "dns") dns(address);
  else listen(address, Number(port), what === "page" ? (status ?? "204 No Content") : null);
}
process.stdout.write("ready\n");
