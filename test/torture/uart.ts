import { closeSync, constants, mkdtempSync, openSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { openPty, type Pty } from "../pty.ts";
import { streamOf } from "./records.ts";

/**
 * A far end behind a UART: it says its records at the pace of the line and cannot wait. What finds nobody who has the
 * terminal open, or a kernel buffer that is full, is lost, and counted.
 */

const libc = koffi.load("libc.so.6");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const poll = libc.func("int poll(void *fds, unsigned long count, int timeout)");
const tcgetattr = libc.func("int tcgetattr(int fd, void *termios)");
const FIONREAD = 0x541b;
/** With a null argument: TCIFLUSH. */
const TCFLSH = 0x540b;

const POLLIN = 1;
const POLLHUP = 0x10;
/** termios(3) of glibc: c_lflag is the fourth word. */
const LFLAG_AT = 12;
const ICANON = 0o2;
/** N_TTY_BUF_SIZE, less the byte that it never fills. */
const KERNEL_BYTES = 4_095;
/** What comes in one tick at most: a little more than a tick is long. */
const LINE_MS = 6;
const NEARLY_FULL_BYTES = 3_000;
/** So long the kernel may take to carry bytes from one side of a pty to the other. */
const SETTLE_MS = 3;

export class Uart {
  readonly path: string;
  /** Bytes said so far, lost ones included. */
  said = 0;
  readonly lost = { closed: 0, full: 0, unplugged: 0 };
  private pty: Pty | null = null;
  private readonly folder = mkdtempSync(join(tmpdir(), "towpath-uart-"));
  private readonly port: number;
  private readonly bytesPerMs: number;
  private begunMs: number | null = null;
  private wasClosed = false;
  /** Said since the reader's side was last seen to change. */
  private underWay = 0;
  private seen = 0;

  constructor(port: number, baudRate: number) {
    this.port = port;
    this.bytesPerMs = baudRate / 10_000;
    this.path = join(this.folder, "port0");
    this.plug();
  }

  plug(): void {
    this.pty = openPty();
    symlinkSync(this.pty.path, `${this.path}.new`);
    renameSync(`${this.path}.new`, this.path);
  }

  unplug(): void {
    rmSync(this.path, { force: true });
    this.pty?.close();
    this.pty = null;
  }

  /** Somebody has it open and has set it up. */
  raw(): boolean {
    const termios = Buffer.alloc(64);
    return (
      this.pty !== null &&
      tcgetattr(this.pty.masterFd, termios) === 0 &&
      (termios.readUInt32LE(LFLAG_AT) & ICANON) === 0
    );
  }

  begin(nowMs: number): void {
    this.begunMs = nowMs;
  }

  /** Says what is due by now. */
  tick(nowMs: number): void {
    if (this.begunMs === null) return;
    const late = Math.floor((nowMs - this.begunMs) * this.bytesPerMs) - this.said;
    if (late <= 0) return;
    // A line fills no buffer at once, also when this process had to wait for its turn.
    const due = Math.min(late, Math.ceil(LINE_MS * this.bytesPerMs));
    if (this.pty === null) return this.lose("unplugged", due);
    const closed = this.closed();
    // A real port forgets what nobody read when its last opener goes; a pseudo terminal would keep it.
    if (closed && !this.wasClosed) this.flush();
    this.wasClosed = closed;
    if (closed) return this.lose("closed", due);
    const before = this.settled();
    const room = KERNEL_BYTES - before - this.underWay;
    // What the kernel still carries to the reader's side is neither lost nor there.
    if (room <= 0) return this.underWay === 0 ? this.lose("full", due) : undefined;
    const taken = this.pty.say(streamOf(this.port, this.said, this.said + Math.min(room, due)));
    this.said += taken;
    this.underWay += taken;
    // Near the end of the buffer nothing may be under way in the kernel: what is said behind it must be lost, not late.
    if (before > NEARLY_FULL_BYTES) this.settles(before + taken);
    // Lost only if the buffer is surely full: a reader may have made room in between, then it is said with the next tick.
    if (due > taken && this.settles(KERNEL_BYTES)) this.lose("full", due - taken);
  }

  end(): void {
    this.unplug();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private lose(how: keyof Uart["lost"], bytes: number): void {
    this.lost[how] += bytes;
    this.said += bytes;
  }

  private closed(): boolean {
    const entry = entryOf(this.pty?.masterFd ?? -1, 0);
    return poll(entry, 1, 0) > 0 && (entry.readInt16LE(6) & POLLHUP) !== 0;
  }

  /** Bytes that the kernel holds for the reader. */
  private waiting(): number {
    const count = Buffer.alloc(4);
    this.asReader((fd) => ioctl(fd, FIONREAD, count));
    return count.readInt32LE(0);
  }

  /** How much of it is on the reader's side: on a busy machine the kernel takes its time. */
  private settled(): number {
    let now = this.waiting();
    if (now === 0) {
      // With nothing to read poll(2) waits until the kernel has carried over all that there is.
      this.asReader((fd) => poll(entryOf(fd, POLLIN), 1, 0));
      now = this.waiting();
      this.underWay = 0;
    }
    if (now !== this.seen) this.underWay = 0;
    this.seen = now;
    return now;
  }

  private flush(): void {
    this.asReader((fd) => ioctl(fd, TCFLSH, null));
  }

  private asReader(work: (fd: number) => void): void {
    const fd = openSync(this.pty?.path ?? "", constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    work(fd);
    closeSync(fd);
  }

  /** Nothing is left for the reader, and there is one. */
  drained(): boolean {
    return this.pty === null || (!this.closed() && this.waiting() === 0);
  }

  private settles(bytes: number): boolean {
    const limit = performance.now() + SETTLE_MS;
    while (this.waiting() < bytes) if (performance.now() > limit) return false;
    return true;
  }
}

/** `struct pollfd`. */
function entryOf(fd: number, events: number): Buffer {
  const entry = Buffer.alloc(8);
  entry.writeInt32LE(fd, 0);
  entry.writeInt16LE(events, 4);
  return entry;
}
