import type { Socket } from "node:net";
import mqtt from "mqtt";

/** The other side of a bare round trip: a process of its own, as a site is. */
process.on("message", async (broker: string) => {
  const client = await mqtt.connectAsync(broker);
  (client.stream as Socket).setNoDelay(true);
  client.on("message", (_topic, payload) => void client.publish("bare/answer", payload, { qos: 1 }));
  await client.subscribeAsync("bare/question", { qos: 1 });
  process.send?.("listening");
});
