/** The escape of a session on a terminal, as ssh has it: after a return, `~` and a key are for us and not for the console. */

export type Typed = { readonly data: Uint8Array } | { readonly command: string };

const CR = 13;
const LF = 10;

export class EscapeReader {
  private readonly escape: number | null;
  private atStart = true;
  private held = false;

  /** @param key one character, or `none`. */
  constructor(key: string) {
    this.escape = key === "none" ? null : key.charCodeAt(0);
  }

  push(bytes: Uint8Array): Typed[] {
    const typed: Typed[] = [];
    let data: number[] = [];
    const flush = (): void => {
      if (data.length > 0) typed.push({ data: Uint8Array.from(data) });
      data = [];
    };
    for (const byte of bytes) {
      if (this.held) {
        this.held = false;
        if (byte === this.escape) data.push(byte);
        else {
          flush();
          typed.push({ command: String.fromCharCode(byte) });
        }
        this.atStart = byte !== this.escape;
        continue;
      }
      if (this.atStart && byte === this.escape) {
        this.held = true;
        continue;
      }
      data.push(byte);
      this.atStart = byte === CR || byte === LF;
    }
    flush();
    return typed;
  }
}

/** Null where it is no character that can be the escape. */
export function readEscape(text: string): string | null {
  if (text === "none") return text;
  const control = /^\^([A-Z[\]\\^_])$/.exec(text)?.[1];
  if (control !== undefined) return String.fromCharCode(control.charCodeAt(0) & 31);
  return /^[\x21-\x7e]$/.test(text) ? text : null;
}
