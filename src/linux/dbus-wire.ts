/**
 * Values on a D-Bus as bytes, little-endian (D-Bus specification, "Marshaling"). Only what a program says and hears
 * that knows its signatures: no introspection, no file descriptors.
 */

/** A value that carries its own type: `new Variant("u", 2)`. Read ones come as the plain value. */
export class Variant {
  readonly signature: string;
  readonly value: unknown;

  constructor(signature: string, value: unknown) {
    this.signature = signature;
    this.value = value;
  }
}

/** Bytes that are no message, or a value that does not fit its signature. */
export class DbusFormatError extends Error {}

const ALIGNMENT: Readonly<Record<string, number>> = {
  ...{ y: 1, g: 1, v: 1, n: 2, q: 2, b: 4, i: 4, u: 4, s: 4, o: 4, a: 4 },
  ...{ x: 8, t: 8, d: 8, "(": 8, "{": 8 },
};

const DEPTH_LIMIT = 32;

/** Complete types of a signature: `"sa{sv}u"` to `["s", "a{sv}", "u"]`. */
export function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at, 0);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, at: number, depth: number): number {
  const code = signature.charAt(at);
  if (ALIGNMENT[code] === undefined || depth > DEPTH_LIMIT) throw new DbusFormatError(`signature "${signature}"`);
  if (code === "a") return endOfType(signature, at + 1, depth + 1);
  if (code !== "(" && code !== "{") return at + 1;
  const close = code === "(" ? ")" : "}";
  let end = at + 1;
  while (signature.charAt(end) !== close) end = endOfType(signature, end, depth + 1);
  return end + 1;
}

/** The bytes of values, as they follow one another in a message's body. */
export function encodeValues(signature: string, values: readonly unknown[]): Buffer {
  const types = typesOf(signature);
  if (types.length !== values.length) throw new DbusFormatError(`${values.length} values for "${signature}"`);
  const writer = new Writer();
  for (const [index, type] of types.entries()) writer.value(type, values[index]);
  return Buffer.concat(writer.parts);
}

class Writer {
  readonly parts: Buffer[] = [];
  length = 0;

  align(to: number): void {
    this.put(Buffer.alloc((to - (this.length % to)) % to));
  }

  put(bytes: Buffer): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  value(type: string, value: unknown): void {
    const code = type.charAt(0);
    this.align(ALIGNMENT[code] ?? 1);
    if (code === "a") return this.array(type.slice(1), value);
    if (code === "(") return this.fields(typesOf(type.slice(1, -1)), value);
    if (code === "{") return this.fields(typesOf(type.slice(1, -1)), value);
    if (code === "v") return this.variant(value);
    if (code === "s" || code === "o") return this.text(String(value), 4);
    if (code === "g") return this.text(String(value), 1);
    this.put(numberBytes(code, value));
  }

  private text(text: string, lengthBytes: 1 | 4): void {
    const bytes = Buffer.from(`${text}\0`);
    const length = Buffer.alloc(lengthBytes);
    length.writeUIntLE(bytes.length - 1, 0, lengthBytes);
    this.put(length);
    this.put(bytes);
  }

  private variant(value: unknown): void {
    if (!(value instanceof Variant)) throw new DbusFormatError("a variant wants its signature");
    this.text(value.signature, 1);
    this.value(value.signature, value.value);
  }

  private fields(types: readonly string[], value: unknown): void {
    if (!Array.isArray(value) || value.length !== types.length)
      throw new DbusFormatError(`${types.join("")} wants so many`);
    for (const [index, type] of types.entries()) this.value(type, value[index]);
  }

  private array(type: string, value: unknown): void {
    const length = Buffer.alloc(4);
    this.put(length);
    // The padding before the first element does not count.
    this.align(ALIGNMENT[type.charAt(0)] ?? 1);
    const begin = this.length;
    for (const one of itemsOf(type, value)) this.value(type, one);
    length.writeUInt32LE(this.length - begin);
  }
}

function itemsOf(type: string, value: unknown): readonly unknown[] {
  if (type.startsWith("{") && typeof value === "object" && value !== null) return Object.entries(value);
  if (value instanceof Uint8Array) return [...value];
  if (!Array.isArray(value)) throw new DbusFormatError(`a${type} wants a list`);
  return value;
}

function numberBytes(code: string, value: unknown): Buffer {
  const bytes = Buffer.alloc(ALIGNMENT[code] ?? 1);
  const number = Number(value);
  if (code === "y") bytes.writeUInt8(number);
  else if (code === "n") bytes.writeInt16LE(number);
  else if (code === "q") bytes.writeUInt16LE(number);
  else if (code === "i") bytes.writeInt32LE(number);
  else if (code === "u") bytes.writeUInt32LE(number);
  else if (code === "b") bytes.writeUInt32LE(value === true ? 1 : 0);
  else if (code === "x") bytes.writeBigInt64LE(BigInt(number));
  else if (code === "t") bytes.writeBigUInt64LE(BigInt(number));
  else bytes.writeDoubleLE(number);
  return bytes;
}

/** The values of a body. Dictionaries come as objects, variants as what is in them, 64-bit numbers as numbers. */
export function decodeValues(signature: string, bytes: Buffer): unknown[] {
  const reader = new Reader(bytes);
  return typesOf(signature).map((type) => reader.value(type, 0));
}

/** Reads values one after the other; `at` is where the next one begins, before its padding. */
export class Reader {
  private readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  value(type: string, depth: number): unknown {
    if (depth > DEPTH_LIMIT) throw new DbusFormatError("too deep");
    const code = type.charAt(0);
    this.align(ALIGNMENT[code] ?? 1);
    if (code === "a") return this.array(type.slice(1), depth);
    if (code === "(") return typesOf(type.slice(1, -1)).map((one) => this.value(one, depth + 1));
    if (code === "v") return this.value(this.oneType(), depth + 1);
    if (code === "s" || code === "o") return this.text(this.take(4).readUInt32LE());
    if (code === "g") return this.text(this.take(1).readUInt8());
    return this.number(code);
  }

  private oneType(): string {
    const signature = this.text(this.take(1).readUInt8());
    if (typesOf(signature).length !== 1) throw new DbusFormatError(`variant of "${signature}"`);
    return signature;
  }

  private number(code: string): number | boolean {
    const bytes = this.take(ALIGNMENT[code] ?? 1);
    if (code === "y") return bytes.readUInt8();
    if (code === "n") return bytes.readInt16LE();
    if (code === "q") return bytes.readUInt16LE();
    if (code === "i") return bytes.readInt32LE();
    if (code === "u") return bytes.readUInt32LE();
    if (code === "b") return bytes.readUInt32LE() === 1;
    if (code === "x") return Number(bytes.readBigInt64LE());
    if (code === "t") return Number(bytes.readBigUInt64LE());
    if (code === "d") return bytes.readDoubleLE();
    throw new DbusFormatError(`type "${code}"`);
  }

  private array(type: string, depth: number): unknown {
    const length = this.take(4).readUInt32LE();
    this.align(ALIGNMENT[type.charAt(0)] ?? 1);
    const end = this.at + length;
    if (end > this.bytes.length) throw new DbusFormatError("an array that ends after the message");
    if (type === "y") return this.take(length);
    const items: unknown[] = [];
    while (this.at < end) items.push(type.startsWith("{") ? this.entry(type, depth + 1) : this.value(type, depth + 1));
    if (this.at !== end) throw new DbusFormatError("an array that does not end with its last element");
    return type.startsWith("{") ? Object.fromEntries(items as [string, unknown][]) : items;
  }

  private entry(type: string, depth: number): [string, unknown] {
    this.align(8);
    const [key = "", value = ""] = typesOf(type.slice(1, -1));
    return [String(this.value(key, depth)), this.value(value, depth)];
  }

  private text(length: number): string {
    const text = this.take(length).toString("utf8");
    this.take(1);
    return text;
  }

  private align(to: number): void {
    this.at += (to - (this.at % to)) % to;
  }

  private take(length: number): Buffer {
    const end = this.at + length;
    if (end > this.bytes.length) throw new DbusFormatError("a message that ends too early");
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }
}
