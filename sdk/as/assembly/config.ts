import { Document, Kind, Value } from "./document";
import * as raw from "./raw";

/**
 * What a filter is configured with. What is wrong is collected, and refuses the
 * configuration once the filter was made; so do settings that nobody asked for.
 */
export class Config {
  private document: Document;
  private known: string[] = [];
  private errors: string[] = [];

  constructor(text: ArrayBuffer) {
    this.document = new Document(text);
  }

  /** Any setting, as JSON. */
  get(name: string): Value {
    if (!this.known.includes(name)) this.known.push(name);
    const v = this.document.get(name);
    return v.kind == Kind.Null ? new Value(Kind.None, "") : v;
  }

  private take(name: string, kind: Kind, what: string): string | null {
    const v = this.get(name);
    if (v.kind == Kind.None) return null;
    if (v.kind != kind) {
      this.refuse(name + ": " + v.text + " is not " + what);
      return null;
    }
    return v.text;
  }

  /** A string that has to be there. */
  required(name: string): string {
    if (this.get(name).kind == Kind.None) this.refuse(name + " is required");
    const s = this.take(name, Kind.String, "a string");
    return s === null ? "" : s;
  }

  /** A string, or what it is if it is left out. */
  string(name: string, otherwise: string = ""): string {
    const s = this.take(name, Kind.String, "a string");
    return s === null ? otherwise : s;
  }

  number(name: string, otherwise: f64 = 0): f64 {
    const s = this.take(name, Kind.Number, "a number");
    return s === null ? otherwise : parseFloat(s);
  }

  bool(name: string, otherwise: bool = false): bool {
    const s = this.take(name, Kind.Bool, "true or false");
    return s === null ? otherwise : s == "true";
  }

  /** A list of strings. */
  strings(name: string): string[] {
    const out: string[] = [];
    const s = this.take(name, Kind.Json, "a list of strings");
    if (s === null) return out;
    const d = Document.parse(s);
    for (let i = 0; ; i++) {
      const v = d.get(i.toString());
      if (v.kind == Kind.None) return out;
      if (v.kind != Kind.String) this.refuse(name + ": " + v.text + " is not a string");
      out.push(v.text);
    }
  }

  /** Refuses the configuration. */
  refuse(reason: string): void {
    this.errors.push(reason);
  }

  /** What is wrong, once everything was asked for. */
  problems(): string[] {
    const all = names(this.document.data);
    for (let i = 0; i < all.length; i++) {
      if (!this.known.includes(all[i])) this.errors.push("there is no " + all[i] + "; known are " + this.known.join(", "));
    }
    return this.errors;
  }
}

/** The names of the members of an object, which the gateway made and is JSON. */
function names(object: ArrayBuffer): string[] {
  const out: string[] = [];
  const p = raw.at(object), n = raw.len(object);
  let depth = 0, quoted = false, escaped = false, key = false;
  let start: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i);
    if (quoted) {
      if (escaped) escaped = false;
      else if (c == 0x5c) escaped = true;
      else if (c == 0x22) {
        quoted = false;
        if (depth == 1 && key) out.push(String.UTF8.decodeUnsafe(p + start, i - start));
      }
      continue;
    }
    switch (c) {
      case 0x22: quoted = true; start = i + 1; break; // "
      case 0x7b: depth++; key = true; break; // {
      case 0x5b: depth++; key = false; break; // [
      case 0x7d: case 0x5d: depth--; break; // } ]
      case 0x2c: key = depth == 1; break; // ,
      case 0x3a: key = false; break; // :
    }
  }
  return out;
}
