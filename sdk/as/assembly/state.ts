import * as raw from "./raw";

/** What functions of State return when they can't do what they are asked. */
export enum StateError {
  /** There is no value. */
  Absent = -1,
  /** allow.state does not name the namespace. */
  Denied = -2,
  TooLarge = -3,
  /** Not a limit that can be kept. */
  Invalid = -4,
}

/** How a Limit counts. */
export enum Algorithm {
  /** Spaces events evenly and lets burst of them come at once. */
  GCRA = 0,
  /** Windows that begin at multiples of the window. */
  FixedWindow = 1,
  /** The window before counts in part. */
  SlidingWindow = 2,
}

/** A number of events in a span of time. */
export class Limit {
  constructor(public events: u32, public windowMs: u32, public algorithm: Algorithm = Algorithm.GCRA, public burst: u32 = 0) {}
}

/** What became of an event; code is negative, a StateError, if it could not be counted. */
export class Taken {
  constructor(public code: i32, public remaining: u32, public waitMs: u32, public resetMs: u32) {}

  get allowed(): bool {
    return this.code == 1;
  }
}

/** A value of State; code is negative, a StateError, if there is none. */
export class Entry {
  constructor(public code: i32, public value: ArrayBuffer) {}

  get ok(): bool {
    return this.code >= 0;
  }

  get text(): string {
    return raw.text(this.value);
  }
}

/** A namespace of what plugins keep in the gateway. allow.state has to name it. */
export class State {
  private ns: ArrayBuffer;

  constructor(namespace: string) {
    this.ns = raw.bytes(namespace);
  }

  private read(k: ArrayBuffer): i32 {
    return raw.state_get(raw.at(this.ns), raw.len(this.ns), raw.at(k), raw.len(k), raw.at(raw.scratch), raw.len(raw.scratch));
  }

  get(key: string): Entry {
    const k = raw.bytes(key);
    let n = this.read(k);
    if (n >= 0 && raw.grow(n)) n = this.read(k);
    return n < 0 ? new Entry(n, new ArrayBuffer(0)) : new Entry(0, raw.taken(n));
  }

  /** Gives a key a value for some milliseconds; 0: as long as there is room. 0, or a StateError. */
  set(key: string, value: ArrayBuffer, ttlMs: u32 = 0): i32 {
    const k = raw.bytes(key);
    return raw.state_set(raw.at(this.ns), raw.len(this.ns), raw.at(k), raw.len(k), raw.at(value), raw.len(value), ttlMs);
  }

  /** Forgets a key: 1 if it was there, 0, or a StateError. */
  delete(key: string): i32 {
    const k = raw.bytes(key);
    return raw.state_delete(raw.at(this.ns), raw.len(this.ns), raw.at(k), raw.len(k));
  }

  /** Sets the value of a key that has none: 1 if it had none, which of many that ask at once is true for one. */
  create(key: string, value: ArrayBuffer, ttlMs: u32 = 0): i32 {
    const k = raw.bytes(key);
    return raw.state_swap(raw.at(this.ns), raw.len(this.ns), raw.at(k), raw.len(k), 0, raw.NONE, raw.at(value), raw.len(value), ttlMs);
  }

  /** Sets the value of a key that has the value old: 1 if it had. */
  swap(key: string, old: ArrayBuffer, value: ArrayBuffer, ttlMs: u32 = 0): i32 {
    const k = raw.bytes(key);
    return raw.state_swap(raw.at(this.ns), raw.len(this.ns), raw.at(k), raw.len(k), raw.at(old), raw.len(old), raw.at(value), raw.len(value), ttlMs);
  }

  /** Counts an event of a cost for a key, if the limit allows it. */
  take(key: string, l: Limit, cost: u32 = 1): Taken {
    const k = raw.bytes(key);
    const out = new StaticArray<u32>(3);
    const n = raw.state_take(raw.at(this.ns), raw.len(this.ns), raw.at(k), raw.len(k), l.algorithm, l.events, l.windowMs, l.burst, cost, changetype<usize>(out));
    return new Taken(n, out[0], out[1], out[2]);
  }
}
