import { DbusFormatError, decodeValues, encodeValues, Reader, Variant } from "./dbus-wire.ts";

/** One message on a D-Bus: a header of known fields, and a body as its signature says. */
export interface BusMessage {
  readonly kind: "call" | "return" | "error" | "signal";
  readonly serial: number;
  readonly path?: string | undefined;
  readonly interface?: string | undefined;
  readonly member?: string | undefined;
  readonly errorName?: string | undefined;
  readonly replySerial?: number | undefined;
  readonly destination?: string | undefined;
  readonly sender?: string | undefined;
  readonly signature: string;
  readonly body: readonly unknown[];
}

const KINDS = ["call", "return", "error", "signal"] as const;
/** Field numbers and types of the header (D-Bus specification, "Header Fields"). */
const FIELDS = {
  path: [1, "o"],
  interface: [2, "s"],
  member: [3, "s"],
  errorName: [4, "s"],
  replySerial: [5, "u"],
  destination: [6, "s"],
  sender: [7, "s"],
  signature: [8, "g"],
} as const;
type Field = keyof typeof FIELDS;
const NAMES = Object.keys(FIELDS) as Field[];

const FIXED = 16;
/** Larger than anything a modem's manager says; the bus itself allows 128 MiB. */
const MESSAGE_LIMIT = 4 * 1024 * 1024;
const LITTLE_ENDIAN = "l".charCodeAt(0);

export function encodeMessage(message: BusMessage): Buffer {
  const body = encodeValues(message.signature, message.body);
  const fields = NAMES.flatMap((name) => {
    const [number, type] = FIELDS[name];
    const value = message[name];
    return value === undefined || value === "" ? [] : [[number, new Variant(type, value)]];
  });
  const kind = KINDS.indexOf(message.kind) + 1;
  const head = encodeValues("yyyyuua(yv)", [LITTLE_ENDIAN, kind, 0, 1, body.length, message.serial, fields]);
  return Buffer.concat([head, Buffer.alloc(padding(head.length)), body]);
}

/**
 * The first message of what was received, and how long it is. Null while it is not there as a whole. Throws where these
 * bytes are no message: nothing after them can be understood either.
 */
export function decodeMessage(bytes: Buffer): { message: BusMessage; length: number } | null {
  if (bytes.length < FIXED) return null;
  if (bytes[0] !== LITTLE_ENDIAN) throw new DbusFormatError("not little-endian");
  const bodyLength = bytes.readUInt32LE(4);
  const fieldsLength = bytes.readUInt32LE(12);
  const headLength = FIXED + fieldsLength + padding(fieldsLength);
  const length = headLength + bodyLength;
  if (length > MESSAGE_LIMIT) throw new DbusFormatError(`a message of ${length} bytes`);
  if (bytes.length < length) return null;
  const kind = KINDS[(bytes[1] ?? 0) - 1];
  const found = fieldsOf(bytes.subarray(0, FIXED + fieldsLength));
  const signature = String(found.signature ?? "");
  const body = decodeValues(signature, bytes.subarray(headLength, length));
  // A kind that a later version of the protocol brings is read over.
  const message = { ...found, kind: kind ?? "signal", serial: bytes.readUInt32LE(8), signature, body } as BusMessage;
  return { message, length };
}

function fieldsOf(head: Buffer): Partial<Record<Field, unknown>> {
  const reader = new Reader(head);
  reader.at = 12;
  const listed = reader.value("a(yv)", 0) as [number, unknown][];
  return Object.fromEntries(
    listed.flatMap(([number, value]) => {
      const name = NAMES.find((one) => FIELDS[one][0] === number);
      return name === undefined ? [] : [[name, value]];
    }),
  );
}

function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}
