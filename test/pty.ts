import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, symlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";

/** A pseudo terminal whose far end is in our hands: the master side is the device, the path is what a site opens. */
export interface Pty {
  readonly path: string;
  /** What was written to the terminal so far, as the device heard it. */
  heard(): string;
  /** Bytes that the kernel took; a device cannot wait. */
  say(bytes: string | Uint8Array): number;
  readonly masterFd: number;
  /** Unplugs it: the terminal hangs up and its path is gone. */
  close(): void;
}

// Linux: asm-generic/ioctls.h.
const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const libc = koffi.load("libc.so.6");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");

export function openPty(): Pty {
  const fd = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  const number = Buffer.alloc(4);
  if (ioctl(fd, TIOCSPTLCK, Buffer.alloc(4)) !== 0 || ioctl(fd, TIOCGPTN, number) !== 0)
    throw new Error("no pseudo terminal");
  const buffer = Buffer.alloc(4096);
  let heard = "";
  const listen = (): void => {
    try {
      for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer))
        heard += buffer.toString("latin1", 0, length);
    } catch {
      // EAGAIN: nothing more; EIO: nobody has the terminal open.
    }
  };
  return {
    path: `/dev/pts/${number.readInt32LE(0)}`,
    masterFd: fd,
    heard() {
      listen();
      return heard;
    },
    say(bytes) {
      try {
        return writeSync(fd, Buffer.from(bytes));
      } catch {
        return 0;
      }
    },
    close: () => closeSync(fd),
  };
}

/** A socket for a cable: a link, as in `/dev/serial/by-path`, to whatever terminal is plugged in now. */
export interface Socket {
  readonly path: string;
  pty(): Pty;
  unplug(): void;
  /** Another terminal: its number may be another one too. */
  plug(): void;
  end(): void;
}

export function openSocket(): Socket {
  const folder = mkdtempSync(join(tmpdir(), "towpath-socket-"));
  const path = join(folder, "port0");
  let pty: Pty | null = null;
  const unplug = (): void => {
    rmSync(path, { force: true });
    pty?.close();
    pty = null;
  };
  const plug = (): void => {
    pty = openPty();
    symlinkSync(pty.path, path);
  };
  plug();
  return {
    path,
    pty() {
      if (pty === null) throw new Error("nothing is plugged in");
      return pty;
    },
    unplug,
    plug,
    end() {
      unplug();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
