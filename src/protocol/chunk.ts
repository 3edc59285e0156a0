import { deflateRawSync, inflateRawSync } from "node:zlib";

/**
 * A piece of capture on the wire: 24-byte header (version u8, codec u8, dictionary length u16, boot u32, offset u64,
 * mono of the first byte u48, marks u16; big endian), marks (varint Δoffset, varint Δms each), data.
 * With a dictionary the receiver needs the bytes just before `offset`.
 */
export interface Chunk {
  readonly boot: number;
  /** Of the first byte, from 0 in this boot. */
  readonly offset: number;
  /** CLOCK_MONOTONIC of the first byte, ms. */
  readonly monoMs: number;
  /** Where the time moved on: byte positions in `data` and ms since the mark before. */
  readonly marks: readonly Mark[];
  readonly data: Uint8Array;
}

export interface Mark {
  readonly at: number;
  readonly monoMs: number;
}

export const CHUNK_HEADER = 24;
const VERSION = 1;
const RAW = 0;
const DEFLATE = 1;
export const DICTIONARY_LIMIT = 32 * 1024;
/** A byte on LTE costs more than the milliseconds. */
const EFFORT = { level: 9, memLevel: 9 };
const MARKS_LIMIT = 0xffff;
const DATA_LIMIT = 1024 * 1024;

export function encodeChunk(chunk: Chunk, dictionary: Uint8Array = new Uint8Array()): Uint8Array {
  const used = dictionary.subarray(Math.max(0, dictionary.length - DICTIONARY_LIMIT));
  const packed = deflateRawSync(chunk.data, used.length > 0 ? { ...EFFORT, dictionary: used } : EFFORT);
  const smaller = packed.length < chunk.data.length;
  const marks = chunk.marks.slice(0, MARKS_LIMIT);
  const header = Buffer.alloc(CHUNK_HEADER);
  header.writeUInt8(VERSION, 0);
  header.writeUInt8(smaller ? DEFLATE : RAW, 1);
  header.writeUInt16BE(smaller ? used.length : 0, 2);
  header.writeUInt32BE(chunk.boot, 4);
  header.writeBigUInt64BE(BigInt(chunk.offset), 8);
  header.writeUIntBE(Math.floor(chunk.monoMs), 16, 6);
  header.writeUInt16BE(marks.length, 22);
  return Buffer.concat([header, encodeMarks(chunk, marks), smaller ? packed : chunk.data]);
}

function encodeMarks(chunk: Chunk, marks: readonly Mark[]): Buffer {
  const bytes: number[] = [];
  let at = 0;
  let ms = Math.floor(chunk.monoMs);
  for (const mark of marks) {
    pushVarint(bytes, mark.at - at);
    pushVarint(bytes, Math.floor(mark.monoMs) - ms);
    at = mark.at;
    ms = Math.floor(mark.monoMs);
  }
  return Buffer.from(bytes);
}

export interface ChunkHead {
  readonly boot: number;
  readonly offset: number;
  readonly dictionaryLength: number;
}

/** What is needed before decoding: which bytes the dictionary is. Null when it is no chunk. */
export function chunkHead(bytes: Uint8Array): ChunkHead | null {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < CHUNK_HEADER || view.readUInt8(0) !== VERSION) return null;
  const offset = Number(view.readBigUInt64BE(8));
  if (!Number.isSafeInteger(offset)) return null;
  return { boot: view.readUInt32BE(4), offset, dictionaryLength: view.readUInt16BE(2) };
}

/** Null for anything that is not a whole chunk; never throws, and never grows past 1 MiB. */
export function decodeChunk(bytes: Uint8Array, dictionary: Uint8Array = new Uint8Array()): Chunk | null {
  const head = chunkHead(bytes);
  if (head === null || dictionary.length < head.dictionaryLength) return null;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const codec = view.readUInt8(1);
  const monoMs = view.readUIntBE(16, 6);
  const marked = decodeMarks(view, view.readUInt16BE(22), monoMs);
  if (marked === null) return null;
  const rest = view.subarray(marked.end);
  const data = codec === RAW ? rest : codec === DEFLATE ? inflate(rest, dictionary, head.dictionaryLength) : null;
  if (data === null || marked.marks.some((mark) => mark.at > data.length)) return null;
  return { boot: head.boot, offset: head.offset, monoMs, marks: marked.marks, data };
}

function inflate(packed: Buffer, dictionary: Uint8Array, length: number): Uint8Array | null {
  try {
    const options = { maxOutputLength: DATA_LIMIT };
    const used = dictionary.subarray(dictionary.length - length);
    return inflateRawSync(packed, length > 0 ? { ...options, dictionary: used } : options);
  } catch {
    return null;
  }
}

function decodeMarks(view: Buffer, count: number, monoMs: number): { marks: Mark[]; end: number } | null {
  const marks: Mark[] = [];
  let position = CHUNK_HEADER;
  let at = 0;
  let ms = monoMs;
  for (let index = 0; index < count; index++) {
    const offset = readVarint(view, position);
    const time = offset && readVarint(view, offset.end);
    if (offset === null || time === null) return null;
    position = time.end;
    at += offset.value;
    ms += time.value;
    marks.push({ at, monoMs: ms });
  }
  return { marks, end: position };
}

function pushVarint(bytes: number[], value: number): void {
  let rest = Math.max(0, value);
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
}

function readVarint(view: Buffer, start: number): { value: number; end: number } | null {
  let value = 0;
  let scale = 1;
  for (let position = start; position < view.length && position < start + 7; position++) {
    const byte = view.readUInt8(position);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: position + 1 };
    scale *= 0x80;
  }
  return null;
}
