/** The little of DNS (RFC 1035) that a probe needs: one question, and whether and what came back. */

const TYPE = { 4: 1, 6: 28 } as const;

export function dnsQuestion(id: number, name: string, family: 4 | 6): Buffer {
  const labels = name
    .split(".")
    .filter(Boolean)
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, "latin1")]));
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x0100, 2); // recursion desired
  head.writeUInt16BE(1, 4);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, TYPE[family], 0, 1])]);
}

/** Addresses of an answer; null where it is none to this question, or says that the server itself failed. */
export function dnsAnswer(message: Buffer, id: number, family: 4 | 6): string[] | null {
  try {
    if (message.length < 12 || message.readUInt16BE(0) !== id || (message.readUInt16BE(2) & 0x8000) === 0) return null;
    const code = message.readUInt16BE(2) & 15;
    // "No such name" is an answer; "server failure" and "refused" are not.
    if (code !== 0 && code !== 3) return null;
    let at = 12;
    for (let count = message.readUInt16BE(4); count > 0; count--) at = afterName(message, at) + 4;
    const found: string[] = [];
    for (let count = message.readUInt16BE(6); count > 0; count--) {
      at = afterName(message, at);
      const type = message.readUInt16BE(at);
      const length = message.readUInt16BE(at + 8);
      const data = message.subarray(at + 10, at + 10 + length);
      if (type === TYPE[family] && length === (family === 4 ? 4 : 16)) found.push(addressText(data));
      at += 10 + length;
    }
    return found;
  } catch (error) {
    // Cut short: it reads past its end.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function afterName(message: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const length = message.readUInt8(at);
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    at += 1 + length;
  }
}

function addressText(data: Buffer): string {
  if (data.length === 4) return [...data].join(".");
  return Array.from({ length: 8 }, (_, index) => data.readUInt16BE(index * 2).toString(16)).join(":");
}
