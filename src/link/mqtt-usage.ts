import type { Socket } from "node:net";
import { type Parcel, URGENCIES, type Urgency } from "./outbox.ts";

/** What connections to a broker have cost so far, in bytes of their sockets, TLS included. */
export interface Usage {
  readonly sent: number;
  readonly received: number;
  /** Topic and payload of what was published, by how much it mattered; the rest is handshakes, pings and acknowledgements. */
  readonly published: Readonly<Record<Urgency, number>>;
  readonly connects: number;
  /** Our own, of the connection that there is. */
  readonly address: string | null;
}

export class UsageMeter {
  private readonly published = Object.fromEntries(URGENCIES.map((one) => [one, 0])) as Record<Urgency, number>;
  private before = { sent: 0, received: 0 };
  private connects = 0;
  private socket: Socket | null = null;

  /** From now on the counts of this one; what the one before counted stays. */
  opened(socket: Socket | null): void {
    const { sent, received } = this.usage();
    this.before = { sent, received };
    this.socket = socket;
    if (socket !== null) this.connects++;
  }

  publishing({ topic, payload, urgency }: Parcel): void {
    this.published[urgency] += topic.length + payload.length;
  }

  usage(): Usage {
    return {
      sent: this.before.sent + (this.socket?.bytesWritten ?? 0),
      received: this.before.received + (this.socket?.bytesRead ?? 0),
      published: { ...this.published },
      connects: this.connects,
      address: this.socket?.localAddress ?? null,
    };
  }
}
