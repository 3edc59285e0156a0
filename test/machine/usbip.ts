import type { Socket } from "node:net";

/** A control request as it came over the cable. */
export interface ControlRequest {
  readonly type: number;
  readonly request: number;
  readonly value: number;
  readonly length: number;
  readonly data: Buffer;
}

/** What a device does with what its host sends. */
export interface UsbDevice {
  control(request: ControlRequest): Buffer | null;
  out(bytes: Buffer): void;
}

/** A device's end of a USB/IP connection that is attached already. */
export interface UsbipPipe {
  /** Bytes for the host's next bulk read. */
  send(bytes: Buffer): void;
}

/** Message numbers and fields: the kernel's Documentation/usb/usbip_protocol.rst; every number is big-endian. */
const HEADER = 48;
const SUBMIT = 1;
const UNLINK = 2;
const RETURN_SUBMIT = 3;
const RETURN_UNLINK = 4;
const STALL = -32;
const CONNECTION_RESET = -104;

interface Submitted {
  readonly sequence: number;
  readonly inward: boolean;
  readonly endpoint: number;
  readonly length: number;
  readonly setup: Buffer;
  readonly data: Buffer;
}

class Pipe implements UsbipPipe {
  readonly #socket: Socket;
  readonly #device: UsbDevice;
  #bytes: Buffer = Buffer.alloc(0);
  /** Bulk reads that wait for something to say, and what waits to be read. */
  #reads: Submitted[] = [];
  #unread: Buffer = Buffer.alloc(0);

  constructor(socket: Socket, device: UsbDevice) {
    this.#socket = socket;
    this.#device = device;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#take(bytes));
    // The guest let go of the device: there is nobody left to tell.
    socket.on("error", () => socket.destroy());
  }

  send(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    this.#pump();
  }

  #take(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= HEADER) {
      const head = this.#bytes;
      const inward = head.readUInt32BE(12) === 1;
      const command = head.readUInt32BE(0);
      const length = command === SUBMIT ? head.readUInt32BE(24) : 0;
      const whole = HEADER + (inward ? 0 : length);
      if (head.length < whole) return;
      this.#bytes = head.subarray(whole);
      const sequence = head.readUInt32BE(4);
      if (command === UNLINK) this.#unlink(sequence, head.readUInt32BE(20));
      else {
        const [setup, data] = [head.subarray(40, HEADER), head.subarray(HEADER, whole)];
        this.#submit({ sequence, inward, endpoint: head.readUInt32BE(16), length, setup, data });
      }
    }
  }

  #submit(urb: Submitted): void {
    if (urb.endpoint === 0) this.#control(urb);
    else if (urb.inward) {
      this.#reads.push(urb);
      this.#pump();
    } else {
      this.#device.out(Buffer.from(urb.data));
      this.#answer(urb.sequence, 0, null, urb.length);
    }
  }

  #control({ setup, data, sequence, inward, length }: Submitted): void {
    const answer = this.#device.control({
      type: setup[0] ?? 0,
      request: setup[1] ?? 0,
      value: setup.readUInt16LE(2),
      length: setup.readUInt16LE(6),
      data,
    });
    if (answer === null) return this.#answer(sequence, STALL, null, 0);
    const given = answer.subarray(0, length);
    this.#answer(sequence, 0, inward ? given : null, inward ? given.length : length);
  }

  #unlink(sequence: number, wanted: number): void {
    const found = this.#reads.some((read) => read.sequence === wanted);
    this.#reads = this.#reads.filter((read) => read.sequence !== wanted);
    const head = Buffer.alloc(HEADER);
    head.writeUInt32BE(RETURN_UNLINK, 0);
    head.writeUInt32BE(sequence, 4);
    head.writeInt32BE(found ? CONNECTION_RESET : 0, 20);
    this.#socket.write(head);
  }

  #pump(): void {
    while (this.#unread.length > 0) {
      const read = this.#reads.shift();
      if (read === undefined) return;
      const part = this.#unread.subarray(0, read.length);
      this.#unread = this.#unread.subarray(part.length);
      this.#answer(read.sequence, 0, part, part.length);
    }
  }

  #answer(sequence: number, status: number, data: Buffer | null, actual: number): void {
    const head = Buffer.alloc(HEADER);
    head.writeUInt32BE(RETURN_SUBMIT, 0);
    head.writeUInt32BE(sequence, 4);
    head.writeInt32BE(status, 20);
    head.writeInt32BE(actual, 24);
    this.#socket.write(data === null ? head : Buffer.concat([head, data]));
  }
}

/** Speaks USB/IP for a device over a connection that the guest has handed to its virtual host. */
export function createUsbipPipe(socket: Socket, device: UsbDevice): UsbipPipe {
  return new Pipe(socket, device);
}
