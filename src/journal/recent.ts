import type { StoredRecord } from "./record.ts";

/**
 * The last records that were written. Who watches or ships a console reads what has just come: that shall not cost a
 * read of a whole segment each time.
 */
export class Recent {
  private readonly limit: number;
  private readonly tracks = new Map<string, StoredRecord[]>();
  private order: { key: string; cost: number }[] = [];
  private gone = 0;
  private bytes = 0;

  constructor(limitBytes: number) {
    this.limit = limitBytes;
  }

  /** A record whose payload nobody changes any more. */
  add(record: StoredRecord): void {
    const key = `${record.track}@${record.boot}`;
    const records = this.tracks.get(key) ?? [];
    const last = records.at(-1);
    // Written again after a failed sync: it is here already.
    if (last !== undefined && record.position < last.position) return;
    if (last !== undefined && last.position === record.position && last.payload === record.payload) return;
    records.push(record);
    this.tracks.set(key, records);
    const cost = record.payload.length + 128;
    this.order.push({ key, cost });
    this.bytes += cost;
    this.forget();
  }

  /** The records from the one that holds `from`, or null when older ones are wanted. */
  since(track: number, boot: number, from: number): readonly StoredRecord[] | null {
    const records = this.tracks.get(`${track}@${boot}`);
    const first = records?.[0];
    if (records === undefined || first === undefined || from < first.position) return null;
    const at = records.findLastIndex((one) => one.position <= from);
    // A gap before it stands at the same place.
    const begin = records.findIndex((one) => one.position === records[at]?.position);
    return records.slice(Math.max(0, begin));
  }

  private forget(): void {
    while (this.bytes > this.limit) {
      const oldest = this.order[this.gone++];
      if (oldest === undefined) return;
      this.bytes -= oldest.cost;
      const records = this.tracks.get(oldest.key);
      records?.shift();
      if (records?.length === 0) this.tracks.delete(oldest.key);
    }
    if (this.gone < 4096) return;
    this.order = this.order.slice(this.gone);
    this.gone = 0;
  }
}
