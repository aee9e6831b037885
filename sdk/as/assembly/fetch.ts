import { pairs } from "./exchange";
import * as raw from "./raw";

/** What fetch returns instead of a status. */
export enum FetchError {
  /** allow.fetch does not name it. */
  Denied = -1,
  /** Not a request that can be sent. */
  Invalid = -2,
  /** No answer; the gateway's log says why. */
  Failed = -3,
  Timeout = -4,
  TooLarge = -5,
}

/** A request that a filter makes of its own. */
export class FetchRequest {
  /** GET if it is empty. */
  method: string = "";
  /** Names and values. */
  fields: string[][] = [];
  body: ArrayBuffer = new ArrayBuffer(0);
  /** For the head of the answer, in milliseconds; 0 is the upstream's own. */
  timeoutMs: u32 = 0;

  /** url is upstream://NAME/path, or begins with an origin; allow.fetch has to name either. */
  constructor(public url: string) {}
}

/** The answer. */
export class FetchResponse {
  fields: string[][] = [];
  body: ArrayBuffer = new ArrayBuffer(0);

  /** status is one of FetchError if it is negative. */
  constructor(public status: i32) {}

  get ok(): bool {
    return this.status >= 0;
  }

  /** The first value of a field, null if there is none. */
  get(name: string): string | null {
    const lower = name.toLowerCase();
    for (let i = 0; i < this.fields.length; i++) {
      if (this.fields[i][0] == lower) return this.fields[i][1];
    }
    return null;
  }

  text(): string {
    return raw.text(this.body);
  }
}

function head(q: FetchRequest): ArrayBuffer {
  let list = "";
  for (let i = 0; i < q.fields.length; i++) list += q.fields[i][0] + "\0" + q.fields[i][1] + "\0";
  return raw.bytes(list);
}

/** Reads the answer that there is. */
function answer(status: i32): FetchResponse {
  const r = new FetchResponse(status);
  if (!r.ok) return r;
  let n = <u32>raw.fetch_headers(raw.at(raw.scratch), raw.len(raw.scratch));
  if (raw.grow(n)) n = <u32>raw.fetch_headers(raw.at(raw.scratch), raw.len(raw.scratch));
  r.fields = pairs(raw.split(n));
  n = raw.fetch_body(raw.at(raw.scratch), raw.len(raw.scratch));
  if (raw.grow(n)) n = raw.fetch_body(raw.at(raw.scratch), raw.len(raw.scratch));
  r.body = raw.taken(n);
  return r;
}

/** Sends a request and waits for the whole answer. It goes the way of requests that are forwarded. */
export function fetch(q: FetchRequest): FetchResponse {
  const m = raw.bytes(q.method), u = raw.bytes(q.url), f = head(q), b = q.body;
  return answer(raw.fetch(raw.at(m), raw.len(m), raw.at(u), raw.len(u), raw.at(f), raw.len(f), raw.at(b), raw.len(b), q.timeoutMs));
}

/** Sends up to 16 requests at once and waits for all answers. */
export function fetchMany(all: FetchRequest[]): FetchResponse[] {
  const parts: ArrayBuffer[] = [];
  let size = 0;
  for (let i = 0; i < all.length; i++) {
    const q = all[i];
    const four = [raw.bytes(q.method), raw.bytes(q.url), head(q), q.body];
    const sizes = new ArrayBuffer(20);
    for (let k = 0; k < 4; k++) store<u32>(raw.at(sizes) + 4 * k, raw.len(four[k]));
    store<u32>(raw.at(sizes) + 16, q.timeoutMs);
    parts.push(sizes);
    for (let k = 0; k < 4; k++) parts.push(four[k]);
  }
  for (let i = 0; i < parts.length; i++) size += parts[i].byteLength;
  const list = new ArrayBuffer(size);
  let to = raw.at(list);
  for (let i = 0; i < parts.length; i++) {
    memory.copy(to, raw.at(parts[i]), raw.len(parts[i]));
    to += raw.len(parts[i]);
  }
  const n = raw.fetch_many(raw.at(list), raw.len(list));
  const out: FetchResponse[] = [];
  for (let i = 0; i < all.length; i++) out.push(n < 0 ? new FetchResponse(n) : answer(raw.fetch_answer(i)));
  return out;
}
