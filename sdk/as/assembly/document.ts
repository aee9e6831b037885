import * as raw from "./raw";

/** What a Value is. */
export enum Kind {
  None = 0,
  Null = 1,
  Bool = 2,
  Number = 3,
  String = 4,
  Json = 5,
}

/** A value of a document or of an expression: a string as it is, others as JSON. */
export class Value {
  constructor(public kind: Kind, public text: string) {}
}

/** Which document is meant. */
export enum Source {
  RequestBody = 0,
  ResponseBody = 1,
  Data = 2,
}

/**
 * A JSON document that the gateway reads and changes, so that the plugin need not parse
 * it. Paths are those of gjson: "user.name", "items.0.id", "items.#.id".
 */
export class Document {
  /** A document of the plugin's own. */
  constructor(public data: ArrayBuffer, private source: Source = Source.Data) {}

  static parse(text: string): Document {
    return new Document(raw.bytes(text));
  }

  /** A body, whose feature the filter has. What is set is sent on. */
  static body(source: Source): Document {
    return new Document(new ArrayBuffer(0), source);
  }

  private read(p: ArrayBuffer): i64 {
    return raw.json_get(this.source, raw.at(this.data), raw.len(this.data), raw.at(p), raw.len(p), raw.at(raw.scratch), raw.len(raw.scratch));
  }

  /** The value at a path; its kind is None if there is none. */
  get(path: string): Value {
    const p = raw.bytes(path);
    let r = this.read(p);
    if (r >= 0 && raw.grow(<u32>r)) r = this.read(p);
    return r < 0 ? new Value(Kind.None, "") : new Value(<Kind>(r >> 32), raw.text(raw.taken(<u32>r)));
  }

  /** The value at a path as text, "" if there is none. */
  text(path: string): string {
    return this.get(path).text;
  }

  get valid(): bool {
    return raw.json_valid(this.source, raw.at(this.data), raw.len(this.data)) != 0;
  }

  /** Puts a value, which is JSON, at a path. */
  set(path: string, json: string): bool {
    const v = raw.bytes(json);
    return this.edit(path, raw.at(v), raw.len(v));
  }

  /** Removes the value at a path. */
  remove(path: string): bool {
    return this.edit(path, 0, raw.NONE);
  }

  private edit(path: string, value: usize, len: u32): bool {
    const p = raw.bytes(path);
    let n = this.write(p, value, len);
    if (n >= 0 && this.source == Source.Data) {
      if (raw.grow(n)) n = this.write(p, value, len);
      this.data = raw.taken(n);
    }
    return n >= 0;
  }

  private write(p: ArrayBuffer, value: usize, len: u32): i32 {
    return raw.json_set(this.source, raw.at(this.data), raw.len(this.data), raw.at(p), raw.len(p), value, len, raw.at(raw.scratch), raw.len(raw.scratch));
  }
}

/** An expression of the configuration, {"$expr": index}, for this request. */
export function value(index: u32): Value {
  let r = raw.value(index, raw.at(raw.scratch), raw.len(raw.scratch));
  if (r >= 0 && raw.grow(<u32>r)) r = raw.value(index, raw.at(raw.scratch), raw.len(raw.scratch));
  return r < 0 ? new Value(Kind.None, "") : new Value(<Kind>(r >> 32), raw.text(raw.taken(<u32>r)));
}

/** How values are written into a template. */
export enum Escape {
  Plain = 0,
  Html = 1,
  Json = 2,
  Query = 3,
  Xml = 4,
}

/** A text in which {{path}} stands for a value of a JSON document; null if either is not one. */
export function template(escape: Escape, text: string, json: string): string | null {
  const t = raw.bytes(text), d = raw.bytes(json);
  let n = raw.template(escape, raw.at(t), raw.len(t), raw.at(d), raw.len(d), raw.at(raw.scratch), raw.len(raw.scratch));
  if (n >= 0 && raw.grow(n)) n = raw.template(escape, raw.at(t), raw.len(t), raw.at(d), raw.len(d), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.text(raw.taken(n));
}

/** An XML document as the JSON array of its tokens; null if it is not one. */
export function xmlTokens(source: Source, data: ArrayBuffer): string | null {
  let n = raw.xml_tokens(source, raw.at(data), raw.len(data), raw.at(raw.scratch), raw.len(raw.scratch));
  if (n >= 0 && raw.grow(n)) n = raw.xml_tokens(source, raw.at(data), raw.len(data), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.text(raw.taken(n));
}

/** The document of tokens; null if they make none. */
export function xmlWrite(tokens: string): string | null {
  const t = raw.bytes(tokens);
  let n = raw.xml_write(raw.at(t), raw.len(t), raw.at(raw.scratch), raw.len(raw.scratch));
  if (n >= 0 && raw.grow(n)) n = raw.xml_write(raw.at(t), raw.len(t), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.text(raw.taken(n));
}
