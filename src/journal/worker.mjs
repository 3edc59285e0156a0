// A worker written in TypeScript does not start under tsx on Node 20: this registers the loader first.
import { register } from "tsx/esm/api";

register();
await import("./worker.ts");
