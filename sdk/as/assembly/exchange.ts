import * as raw from "./raw";

/** What a filter decides about a request. */
export enum Verdict {
  /** The exchange has the filter's own answer; see Exchange.reply. */
  Replied = 0,
  /** Passes the exchange on. */
  Continue = 1,
  /** The filter could not do its work; see Exchange.fail. */
  Failed = 2,
}

/** The levels of the log. */
export enum Level {
  Debug = -1,
  Info = 0,
  Warn = 1,
  Error = 2,
}

/** Gives the exchange up, or refuses the configuration. The first reason counts. */
export function fail(reason: string): void {
  const b = raw.bytes(reason);
  raw.fail(raw.at(b), raw.len(b));
}

/** Writes to the gateway's log. */
export function log(level: Level, message: string): void {
  if (raw.log_enabled(level) == 0) return;
  const b = raw.bytes(message);
  raw.log(level, raw.at(b), raw.len(b));
}

/** The fields of one message. Names ignore case. */
export class Fields {
  constructor(private kind: u32) {}

  /** All values of a field. */
  values(name: string): string[] {
    const n = raw.bytes(name);
    let r = <u32>raw.get_header_values(this.kind, raw.at(n), raw.len(n), raw.at(raw.scratch), raw.len(raw.scratch));
    if (raw.grow(r)) r = <u32>raw.get_header_values(this.kind, raw.at(n), raw.len(n), raw.at(raw.scratch), raw.len(raw.scratch));
    return raw.split(r);
  }

  /** The first value of a field, null if there is none. */
  get(name: string): string | null {
    const all = this.values(name);
    return all.length > 0 ? all[0] : null;
  }

  /** Whether there is a field. */
  has(name: string): bool {
    return this.values(name).length > 0;
  }

  /** Name, in lower case, and value of every field in order. */
  all(): string[][] {
    let r = <u32>raw.get_all_headers(this.kind, raw.at(raw.scratch), raw.len(raw.scratch));
    if (raw.grow(r)) r = <u32>raw.get_all_headers(this.kind, raw.at(raw.scratch), raw.len(raw.scratch));
    return pairs(raw.split(r));
  }

  /** Replaces all values of a field. A value with control characters fails the exchange. */
  set(name: string, value: string): void {
    if (!clean(name, value)) return;
    const n = raw.bytes(name), v = raw.bytes(value);
    raw.set_header_value(this.kind, raw.at(n), raw.len(n), raw.at(v), raw.len(v));
  }

  /** Adds a value to a field. */
  add(name: string, value: string): void {
    if (!clean(name, value)) return;
    const n = raw.bytes(name), v = raw.bytes(value);
    raw.add_header_value(this.kind, raw.at(n), raw.len(n), raw.at(v), raw.len(v));
  }

  /** Removes a field. */
  remove(name: string): void {
    const n = raw.bytes(name);
    raw.remove_header(this.kind, raw.at(n), raw.len(n));
  }
}

export function pairs(texts: string[]): string[][] {
  const out: string[][] = [];
  for (let i = 0; i + 1 < texts.length; i += 2) out.push([texts[i], texts[i + 1]]);
  return out;
}

/** Fails the exchange, and spares the instance, for a value that the gateway would not take. */
function clean(name: string, value: string): bool {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if ((c < 0x20 && c != 9) || c == 0x7f) {
      fail("the value for header " + name + " has a control character");
      return false;
    }
  }
  return true;
}

function body(kind: u32): ArrayBuffer {
  let out = new ArrayBuffer(4096);
  let n: u32 = 0;
  while (true) {
    const r = raw.read_body(kind, raw.at(out) + n, raw.len(out) - n);
    n += <u32>r;
    if (r >> 32 != 0) return out.slice(0, <i32>n);
    if (n == raw.len(out)) {
      const more = new ArrayBuffer(<i32>(2 * n));
      memory.copy(raw.at(more), raw.at(out), n);
      out = more;
    }
  }
}

/** A request and its response, as one filter sees them. */
export class Exchange {
  /** The fields of the request. */
  request: Fields = new Fields(0);
  /** The fields of the response. Those that are set before there is one are set on it when it comes. */
  response: Fields = new Fields(1);
  /** The trailers; they need TRAILERS. */
  requestTrailers: Fields = new Fields(2);
  responseTrailers: Fields = new Fields(3);
  /** What the filter keeps for the response. */
  state: Object | null = null;

  get method(): string {
    let n = raw.get_method(raw.at(raw.scratch), raw.len(raw.scratch));
    if (raw.grow(n)) n = raw.get_method(raw.at(raw.scratch), raw.len(raw.scratch));
    return raw.text(raw.taken(n));
  }
  set method(m: string) {
    const b = raw.bytes(m);
    raw.set_method(raw.at(b), raw.len(b));
  }

  /** Path and query. */
  get uri(): string {
    let n = raw.get_uri(raw.at(raw.scratch), raw.len(raw.scratch));
    if (raw.grow(n)) n = raw.get_uri(raw.at(raw.scratch), raw.len(raw.scratch));
    return raw.text(raw.taken(n));
  }
  set uri(u: string) {
    const b = raw.bytes(u);
    raw.set_uri(raw.at(b), raw.len(b));
  }

  /** The version, such as HTTP/1.1. */
  get protocol(): string {
    const n = raw.get_protocol_version(raw.at(raw.scratch), raw.len(raw.scratch));
    return raw.text(raw.taken(n));
  }

  /** Address and port of the client. */
  get source(): string {
    const n = raw.get_source_addr(raw.at(raw.scratch), raw.len(raw.scratch));
    return raw.text(raw.taken(n));
  }

  /** The id of the request, as in the gateway's log. */
  get requestId(): string {
    let n = raw.get_request_id(raw.at(raw.scratch), raw.len(raw.scratch));
    if (raw.grow(n)) n = raw.get_request_id(raw.at(raw.scratch), raw.len(raw.scratch));
    return raw.text(raw.taken(n));
  }

  /** The status of the response. */
  get status(): u32 {
    return raw.get_status_code();
  }
  set status(s: u32) {
    raw.set_status_code(s);
  }

  /** The request's body, which needs BUFFER_REQUEST. */
  requestBody(): ArrayBuffer {
    return body(0);
  }

  /** Replaces the request's body. Call it once. */
  setRequestBody(b: ArrayBuffer): void {
    raw.write_body(0, raw.at(b), raw.len(b));
  }

  /** The response's body, which needs BUFFER_RESPONSE. */
  responseBody(): ArrayBuffer {
    return body(1);
  }

  /** Replaces the response's body. Call it once. */
  setResponseBody(b: ArrayBuffer): void {
    raw.write_body(1, raw.at(b), raw.len(b));
  }

  /** Answers the request: return x.reply(...). */
  reply(status: u32, contentType: string, body: string): Verdict {
    return this.replyBytes(status, contentType, raw.bytes(body));
  }

  replyBytes(status: u32, contentType: string, body: ArrayBuffer): Verdict {
    raw.set_status_code(status);
    if (contentType.length > 0) this.response.set("content-type", contentType);
    this.setResponseBody(body);
    return Verdict.Replied;
  }

  /** Gives the exchange up; the plugin's on_error decides what the client gets. */
  fail(reason: string): Verdict {
    fail(reason);
    return Verdict.Failed;
  }

  /** Writes to the gateway's log, with the request's id. */
  log(level: Level, message: string): void {
    log(level, message);
  }

  /** Notes a fact for the access log; false if it is too long, or not one. */
  attribute(name: string, value: string): bool {
    const n = raw.bytes(name), v = raw.bytes(value);
    return raw.trace_attribute(raw.at(n), raw.len(n), raw.at(v), raw.len(v)) == 0;
  }

  /** Who makes the request: JSON with subject, consumer and claims; null if allow.auth is not set. */
  auth(): string | null {
    let n = raw.auth_get(raw.at(raw.scratch), raw.len(raw.scratch));
    if (n >= 0 && raw.grow(n)) n = raw.auth_get(raw.at(raw.scratch), raw.len(raw.scratch));
    return n < 0 ? null : raw.text(raw.taken(n));
  }

  /** Says who makes the request, and reports whether the gateway took it. */
  setAuth(identity: string): bool {
    const b = raw.bytes(identity);
    return raw.auth_set(raw.at(b), raw.len(b)) == 0;
  }

  /** Gives a JSON object to later filters, policies and the log. */
  publish(object: string): bool {
    const b = raw.bytes(object);
    return raw.publish(raw.at(b), raw.len(b)) == 0;
  }

  /** What a plugin or a policy that allow.call names published. */
  published(name: string): string | null {
    const b = raw.bytes(name);
    let n = raw.published(raw.at(b), raw.len(b), raw.at(raw.scratch), raw.len(raw.scratch));
    if (n >= 0 && raw.grow(n)) n = raw.published(raw.at(b), raw.len(b), raw.at(raw.scratch), raw.len(raw.scratch));
    return n < 0 ? null : raw.text(raw.taken(n));
  }
}
