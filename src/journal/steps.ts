import { RECORD_HEADER, type StoredRecord } from "./record.ts";

/** Reading in small parts: what is urgent is done in the pauses. After a pause the ring may have gone on. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** For who has nothing else to do. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

const PART_BYTES = 512 * 1024;

/** Says when so much was read that it is time for a pause. */
export class Pace {
  private bytes = 0;

  isDue({ payload }: StoredRecord): boolean {
    this.bytes += RECORD_HEADER + payload.length;
    if (this.bytes < PART_BYTES) return false;
    this.bytes = 0;
    return true;
  }
}
