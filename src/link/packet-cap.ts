/**
 * Stands between the socket and the MQTT parser, which would buffer whatever length a packet claims (200 MB were
 * measured). A PUBLISH over the limit keeps its topic and packet id and loses its payload, so that it is acknowledged
 * and counted instead of being delivered again for ever; any other packet over the limit ends the connection.
 */
export interface CapOptions {
  readonly limitBytes: number;
  readonly version: 4 | 5;
  readonly onOversized: (topic: string) => void;
}

const PUBLISH = 3;
/** Topic, packet id and properties must fit in this much of an oversized packet. */
const HEAD_LIMIT = 128 * 1024;

export class PacketCap {
  private held: Buffer = Buffer.alloc(0);
  /** Bytes of the present packet that pass, or are dropped, before the next header. */
  private passing = 0;
  private dropping = 0;
  private readonly options: CapOptions;

  constructor(options: CapOptions) {
    this.options = options;
  }

  /** Bytes that wait for the rest of a header: what a hostile broker can make this cost. */
  get heldBytes(): number {
    return this.held.length;
  }

  push(bytes: Uint8Array): Buffer[] {
    this.held = this.held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.held, bytes]);
    const out: Buffer[] = [];
    while (this.held.length > 0) {
      if (this.passing > 0) out.push(this.take("passing"));
      else if (this.dropping > 0) this.take("dropping");
      else if (!this.header(out)) break;
    }
    return out;
  }

  private take(what: "passing" | "dropping"): Buffer {
    const piece = this.held.subarray(0, this[what]);
    this.held = this.held.subarray(piece.length);
    this[what] -= piece.length;
    return piece;
  }

  /** Reads one fixed header. False when more bytes are needed. */
  private header(out: Buffer[]): boolean {
    const length = readVarint(this.held, 1);
    if (length === null) return false;
    const total = length.end + length.value;
    if (length.value <= this.options.limitBytes) {
      this.passing = total;
      return true;
    }
    const first = this.held[0] ?? 0;
    if (first >> 4 !== PUBLISH) throw new Error(`a packet of type ${first >> 4} with ${length.value} bytes`);
    const head = this.publishHead(length.end, (first >> 1) & 3);
    if (head === null) return false;
    const kept = this.held.subarray(length.end, head.end);
    out.push(Buffer.concat([Buffer.from([first]), varint(kept.length), kept]));
    this.options.onOversized(head.topic);
    this.dropping = total - head.end;
    this.held = this.held.subarray(head.end);
    return true;
  }

  private publishHead(start: number, qos: number): { topic: string; end: number } | null {
    if (this.held.length < start + 2) return null;
    const topicEnd = start + 2 + this.held.readUInt16BE(start);
    let end = topicEnd + (qos > 0 ? 2 : 0);
    if (this.held.length < end) return null;
    if (this.options.version === 5) {
      const properties = readVarint(this.held, end);
      if (properties === null) return null;
      end = properties.end + properties.value;
    }
    if (end - start > HEAD_LIMIT) throw new Error("a packet whose head alone is too large");
    return this.held.length < end ? null : { topic: this.held.subarray(start + 2, topicEnd).toString("utf8"), end };
  }
}

function readVarint(bytes: Buffer, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let index = 0; index < 4; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 128 ** index;
    if (byte < 0x80) return { value, end: start + index + 1 };
  }
  throw new Error("a packet length that MQTT does not have");
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const byte = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? byte | 0x80 : byte);
  } while (rest > 0);
  return Buffer.from(bytes);
}
