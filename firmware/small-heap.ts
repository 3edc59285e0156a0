import { setFlagsFromString } from "node:v8";

/**
 * Loaded before all else of the controller: functions that nobody calls are not compiled, and much of what is imported
 * is never called. How large the room for young objects may be is fixed when node starts: the unit says that.
 */
setFlagsFromString("--max-lazy");
