import type { CaptureItem } from "../journal/store.ts";

/** What all ports said in one turn of the loop, handed to the journal in one piece of work. */
export interface Batch {
  /** False when the journal is so far behind that so many bytes must be dropped. */
  roomFor(bytes: number): boolean;
  /** The data is copied. */
  add(item: CaptureItem, urgent: boolean): void;
  /** The journal is behind: whoever can wait should. */
  behind(): boolean;
  flush(): void;
}

export interface BatchOptions {
  /** Takes its own copy before it returns. */
  readonly append: (items: readonly CaptureItem[], urgent: boolean) => void;
  /** Resolves when all that was appended before has been worked on. */
  readonly written: () => Promise<void>;
}

const BLOCK_BYTES = 64 * 1024;
/** So often the journal is asked how far it is. */
const ASK_BYTES = 256 * 1024;
const BEHIND_BYTES = 2 * 1024 * 1024;
/** A card that stands still for ten seconds costs 48 ports at 115200 baud 5.5 MB. */
const LIMIT_BYTES = 16 * 1024 * 1024;

export function createBatch({ append, written }: BatchOptions): Batch {
  // One block for all batches: the journal copies it on its way to the other thread.
  const block = new Uint8Array(BLOCK_BYTES);
  let filled = 0;
  let items: CaptureItem[] = [];
  let urgent = false;
  let due: NodeJS.Immediate | null = null;
  let handed = 0;
  let done = 0;
  let asking = false;

  const ask = (): void => {
    if (asking || handed - done < ASK_BYTES) return;
    asking = true;
    const upTo = handed;
    void written().then(() => {
      asking = false;
      done = upTo;
      ask();
    });
  };

  const flush = (): void => {
    if (due !== null) clearImmediate(due);
    due = null;
    if (items.length === 0) return;
    append(items, urgent);
    handed += filled;
    items = [];
    filled = 0;
    urgent = false;
    ask();
  };

  const copied = (data: Uint8Array): Uint8Array => {
    const view = block.subarray(filled, filled + data.length);
    view.set(data);
    filled += data.length;
    return view;
  };

  return {
    roomFor: (bytes) => handed - done + filled + bytes <= LIMIT_BYTES,
    add(item, isUrgent) {
      const size = "data" in item.content ? item.content.data.length : 0;
      if (filled + size > BLOCK_BYTES) flush();
      items.push("data" in item.content ? { ...item, content: { data: copied(item.content.data) } } : item);
      urgent ||= isUrgent;
      // After all ports of this tick, and at once for a port that is watched.
      due ??= setImmediate(flush);
    },
    behind: () => handed - done > BEHIND_BYTES,
    flush,
  };
}
