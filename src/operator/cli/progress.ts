import { formatDuration } from "../../core/duration.ts";
import type { Screen } from "./screen.ts";

/** How far a long read is: bytes so far of how many, how fast, how long still. */
export class Progress {
  private readonly screen: Pick<Screen, "progress" | "clear">;
  private readonly name: string;
  private readonly totalBytes: number;
  private readonly nowMs: () => number;
  private readonly beganMs: number;
  private shownMs = 0;
  private doneBytes = 0;

  constructor(
    screen: Pick<Screen, "progress" | "clear">,
    name: string,
    totalBytes: number,
    nowMs: () => number = () => performance.now(),
  ) {
    this.screen = screen;
    this.name = name;
    this.totalBytes = totalBytes;
    this.nowMs = nowMs;
    this.beganMs = nowMs();
  }

  /** A read that is over at once needs no progress. */
  at(doneBytes: number): void {
    this.doneBytes = Math.max(this.doneBytes, Math.min(doneBytes, this.totalBytes));
    const now = this.nowMs();
    if (now - this.beganMs < 1_000 || now - this.shownMs < 250) return;
    this.shownMs = now;
    this.screen.progress(progressText(this.name, this.doneBytes, this.totalBytes, now - this.beganMs));
  }

  end(): void {
    this.screen.clear();
  }
}

export function progressText(name: string, done: number, total: number, tookMs: number): string {
  const perMs = tookMs > 0 ? done / tookMs : 0;
  const left = perMs > 0 ? `, ${formatDuration(Math.ceil((total - done) / perMs / 1_000) * 1_000)} to go` : "";
  return `${name}: ${size(done)} of ${size(total)}, ${size(perMs * 1_000)}/s${left}`;
}

function size(bytes: number): string {
  if (bytes < 1_024) return `${Math.round(bytes)} B`;
  return bytes < 1_024 ** 2 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / 1_024 ** 2).toFixed(1)} MiB`;
}
