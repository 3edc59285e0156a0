import { createServer, type Server, type Socket } from "node:net";
import { generate, type IConnectPacket, type IPublishPacket, type Packet, parser } from "mqtt-packet";
import { onTestFinished } from "vitest";

/** A broker that does as it is told: what a real one does once in a year, now. */
export interface Script {
  /** What it answers to CONNECT, and in which of its lives: counts from 1. Null: it hangs up. Silent: nothing. */
  readonly connack?: (packet: IConnectPacket, life: number) => Partial<Packet> | "hang up" | "silent";
  /** False: the message is not acknowledged. */
  readonly acknowledges?: (packet: IPublishPacket, life: number) => boolean;
}

export class ScriptedBroker {
  readonly packets: { life: number; packet: Packet }[] = [];
  readonly sockets: Socket[] = [];
  /** In its lives up to this one it takes what comes and says nothing: a path that carries one way, a frozen machine. */
  frozenUpTo = 0;
  lives = 0;
  private readonly server: Server;
  private readonly script: Script;

  constructor(script: Script = {}) {
    this.script = script;
    this.server = createServer((socket) => this.serve(socket, ++this.lives));
    onTestFinished(() => this.stop());
  }

  async start(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  stop(): void {
    this.server.close();
    this.cut();
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** What came of one kind, in the order in which it came. */
  of<T extends Packet["cmd"]>(cmd: T, life?: number): Extract<Packet, { cmd: T }>[] {
    return this.packets
      .filter((one) => one.packet.cmd === cmd && (life === undefined || one.life === life))
      .map(({ packet }) => packet as Extract<Packet, { cmd: T }>);
  }

  private serve(socket: Socket, life: number): void {
    this.sockets.push(socket);
    const read = parser({ protocolVersion: 5 });
    let protocolVersion = 5;
    const say = (packet: Packet): void => void socket.write(generate(packet, { protocolVersion }));
    read.on("packet", (packet: Packet) => {
      if (packet.cmd === "connect") protocolVersion = packet.protocolVersion ?? 4;
      this.packets.push({ life, packet });
      if (life > this.frozenUpTo) this.answer(packet, life, say, socket);
    });
    socket.on("data", (bytes) => void read.parse(bytes));
    socket.on("error", () => undefined);
  }

  private answer(packet: Packet, life: number, say: (packet: Packet) => void, socket: Socket): void {
    const { connack, acknowledges } = this.script;
    if (packet.cmd === "connect") {
      const said = connack?.(packet, life) ?? {};
      if (said === "hang up") return void socket.destroy();
      if (said === "silent") return;
      say({ cmd: "connack", sessionPresent: false, returnCode: 0, reasonCode: 0, ...said } as Packet);
    } else if (packet.cmd === "subscribe") {
      say({ cmd: "suback", messageId: packet.messageId ?? 0, granted: packet.subscriptions.map(() => 1) });
    } else if (packet.cmd === "publish" && packet.qos === 1) {
      if (acknowledges?.(packet, life) !== false) say({ cmd: "puback", messageId: packet.messageId ?? 0 });
    } else if (packet.cmd === "pingreq") say({ cmd: "pingresp" });
  }
}

/** Waits for what will be so, however busy the machine is. */
export async function until(check: () => boolean, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
