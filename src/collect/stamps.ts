import { readStamp } from "./messages.ts";

/** Which of a site's statements are news: each is stamped with boot, start and a number that rises. */
export class Stamps {
  /** Of the last statement. */
  boot: number | null = null;
  private readonly last = new Map<string, { boot: number; start: number; n: number }>();

  /** A statement may be repeated by who keeps it; an older one of the same start says nothing new. */
  isNews(name: string, body: unknown): boolean {
    const stamp = readStamp(body);
    if (stamp === null) return false;
    const before = this.last.get(name);
    const sameStart = before?.boot === stamp.boot && before.start === stamp.start;
    if (sameStart && stamp.n < before.n && name !== "up/reply") return false;
    this.last.set(name, stamp);
    this.boot = stamp.boot;
    return true;
  }
}
