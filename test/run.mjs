// Runs one of the test tree's programs from its TypeScript, in this process.
import { register } from "tsx/esm/api";

register();
const [program = ""] = process.argv.splice(2, 1);
await import(new URL(program, import.meta.url).href);
