import { Config } from "./config";
import { Exchange, fail, Verdict } from "./exchange";
import * as raw from "./raw";

/** Lets a filter see the whole body of requests. */
export const BUFFER_REQUEST: u32 = 1;
/** Lets a filter see the whole body of responses. */
export const BUFFER_RESPONSE: u32 = 2;
/** Lets a filter see and change trailers. */
export const TRAILERS: u32 = 4;

/**
 * One configured filter. It serves many exchanges, one call at a time. The gateway runs
 * several instances of a module: what a filter keeps in memory is not shared between them.
 */
export abstract class Filter {
  /** Sees the request before it is forwarded. */
  abstract request(x: Exchange): Verdict;

  /** Sees the response before it is sent, in the same exchange, if request continued. */
  response(x: Exchange): void {}
}

class Registration {
  constructor(public name: string, public make: (c: Config) => Filter, public features: u32) {}
}

const registered: Registration[] = [];
const filters: Map<u32, Filter> = new Map();
const open: (Exchange | null)[] = [];
const owners: (Filter | null)[] = [];

/** Adds a filter to the module under the name that the gateway's configuration uses. */
export function register(name: string, make: (c: Config) => Filter, features: u32 = 0): void {
  registered.push(new Registration(name, make, features));
}

function choose(name: string): Registration | null {
  if (name.length == 0 && registered.length == 1) return registered[0];
  for (let i = 0; i < registered.length; i++) {
    if (registered[i].name == name) return registered[i];
  }
  return null;
}

function filterName(): string {
  let n = raw.get_filter(raw.at(raw.scratch), raw.len(raw.scratch));
  if (raw.grow(n)) n = raw.get_filter(raw.at(raw.scratch), raw.len(raw.scratch));
  return raw.text(raw.taken(n));
}

function configuration(): ArrayBuffer {
  let n = raw.get_config(raw.at(raw.scratch), raw.len(raw.scratch));
  if (raw.grow(n)) n = raw.get_config(raw.at(raw.scratch), raw.len(raw.scratch));
  return raw.taken(n);
}

export function headgate_configure(id: u32): u32 {
  const r = choose(filterName());
  if (r === null) {
    fail("the module has no such filter; say which with filter");
    return 1;
  }
  const c = new Config(configuration());
  const f = r.make(c);
  const problems = c.problems();
  if (problems.length > 0) {
    fail(problems.join("\n"));
    return 1;
  }
  if (r.features != 0) raw.enable_features(r.features);
  filters.set(id, f);
  return 0;
}

export function handle_request(): u64 {
  const f = filters.get(raw.config_id());
  const x = new Exchange();
  const v = f.request(x);
  if (v == Verdict.Continue) return (<u64>take(x, f) << 32) | 1;
  if (v == Verdict.Failed) fail("no reason given"); // the first reason counts
  return 0;
}

function take(x: Exchange, f: Filter): u32 {
  for (let i = 0; i < open.length; i++) {
    if (open[i] !== null) continue;
    open[i] = x;
    owners[i] = f;
    return i;
  }
  owners.push(f);
  return open.push(x) - 1;
}

export function handle_response(number: u32, isError: u32): void {
  const x = open[number], f = owners[number];
  headgate_done(number);
  if (x !== null && f !== null) f.response(x);
}

export function headgate_done(number: u32): void {
  open[number] = null;
  owners[number] = null;
}
