// The plugin that sdk/conformance plays exchanges against, in AssemblyScript: what it
// does in each mode, README.md of that folder says.
import {
  Algorithm, BUFFER_REQUEST, BUFFER_RESPONSE, bytes, Config, Document, equal, Escape, Exchange, fetch, FetchError, fetchMany, FetchRequest,
  Filter, hash, Hash, hmac, Level, Limit, Metric, open, register, seal, State, StateError, template, text, Verdict,
} from "../../assembly";

export * from "../../assembly/exports";

const modes = ["headers", "message", "reply", "state", "body", "log", "fail", "fetch", "keys", "rate", "json", "grow", "more"];

class Path {
  constructor(public uri: string) {}
}

class Conformance extends Filter {
  constructor(private mode: string) {
    super();
  }

  request(x: Exchange): Verdict {
    if (this.mode == "headers") return headers(x);
    if (this.mode == "message") return message(x);
    if (this.mode == "reply") {
      x.response.set("x-why", "because");
      return x.reply(418, "text/plain", "no\0 way\n");
    }
    if (this.mode == "state") x.state = new Path(x.uri);
    if (this.mode == "body") x.setRequestBody(upper(x.requestBody()));
    if (this.mode == "log") {
      for (let i = 0; i < 4; i++) x.log(<Level>(i - 1), "line " + i.toString());
    }
    if (this.mode == "fail") return x.fail("on purpose");
    if (this.mode == "fetch") return ask(x);
    if (this.mode == "keys") return keys(x);
    if (this.mode == "rate") return rate(x);
    if (this.mode == "json") return document(x);
    if (this.mode == "grow") grow(x);
    if (this.mode == "more") return more(x);
    return Verdict.Continue;
  }

  response(x: Exchange): void {
    if (this.mode == "headers") {
      x.response.set("x-status", x.status.toString());
      x.response.remove("x-remove");
    }
    if (this.mode == "state") x.response.set("x-path", (x.state as Path).uri);
    if (this.mode == "message") x.status = 299;
    if (this.mode == "body") x.setResponseBody(bytes(text(upper(x.responseBody())) + "!"));
  }
}

function make(c: Config): Filter {
  const mode = c.required("mode");
  if (!modes.includes(mode)) c.refuse("there is no mode " + mode);
  return new Conformance(mode);
}

register("conformance", make);
register("buffered", make, BUFFER_REQUEST | BUFFER_RESPONSE);

function headers(x: Exchange): Verdict {
  const h = x.request;
  h.set("x-joined", h.values("X-Multi").join("|"));
  h.set("x-has", h.has("x-empty").toString() + " " + h.has("x-none").toString());
  const all = h.all();
  const list: string[] = [];
  for (let i = 0; i < all.length; i++) list.push(all[i][0] + "=" + all[i][1]);
  h.set("x-all", list.join(" "));
  h.set("x-set", "new");
  h.add("x-add", "one");
  h.add("x-add", "two");
  h.remove("x-remove");
  x.response.set("x-early", "set before there was a response");
  return Verdict.Continue;
}

function message(x: Exchange): Verdict {
  x.request.set("x-message", [x.method, x.uri, x.protocol, x.source, x.requestId].join(" "));
  x.method = "PUT";
  x.uri = "/changed?x=%20";
  return Verdict.Continue;
}

function upper(b: ArrayBuffer): ArrayBuffer {
  const out = Uint8Array.wrap(b.slice(0));
  for (let i = 0; i < out.length; i++) {
    if (out[i] >= 97 && out[i] <= 122) out[i] -= 32;
  }
  return out.buffer;
}

function or(s: string | null, otherwise: string): string {
  return s === null ? otherwise : s;
}

function ask(x: Exchange): Verdict {
  const q = new FetchRequest(or(x.request.get("x-url"), ""));
  q.method = or(x.request.get("x-method"), "");
  q.fields = [["content-type", "text/plain"]];
  q.body = bytes("a body");
  q.timeoutMs = 1000;
  const r = fetch(q);
  if (r.ok) return x.reply(<u32>r.status, "text/plain", or(r.get("X-Answer"), "") + " " + r.text());
  let why = "failed";
  if (r.status == FetchError.Denied) why = "denied";
  if (r.status == FetchError.Invalid) why = "invalid";
  if (r.status == FetchError.Timeout) why = "timeout";
  if (r.status == FetchError.TooLarge) why = "large";
  return x.reply(502, "text/plain", why);
}

function say(what: string, code: i32, ok: bool): string {
  if (code == StateError.Denied) return what + " denied";
  if (code == StateError.TooLarge) return what + " large";
  return what + " " + ok.toString();
}

function keys(x: Exchange): Verdict {
  const known = new State(or(x.request.get("x-namespace"), ""));
  const said: string[] = [];
  let e = known.get("k");
  said.push(say("get " + e.text, e.code, e.ok));
  let n = known.create("k", bytes("1"), 60000);
  said.push(say("create", n, n == 1));
  n = known.create("k", bytes("2"), 60000);
  said.push(say("create", n, n == 1));
  n = known.swap("k", bytes("0"), bytes("2"), 60000);
  said.push(say("swap", n, n == 1));
  n = known.swap("k", bytes("1"), bytes("2"), 60000);
  said.push(say("swap", n, n == 1));
  e = known.get("k");
  said.push(say("get " + e.text, e.code, e.ok));
  n = known.delete("k");
  said.push(say("delete", n, n >= 0));
  n = known.set("k".repeat(2000), bytes(""));
  said.push(say("set", n, n == 0));
  n = known.set("kept", bytes("a value"));
  said.push(say("set", n, n == 0));
  return x.reply(200, "text/plain", said.join("\n"));
}

function rate(x: Exchange): Verdict {
  const t = new State("rates").take("k", new Limit(2, 60000, Algorithm.FixedWindow));
  if (t.code < 0) return x.fail("it can't be counted");
  return x.reply(200, "text/plain", [t.allowed.toString(), t.remaining.toString(), t.waitMs.toString(), t.resetMs.toString()].join(" "));
}

function document(x: Exchange): Verdict {
  const d = Document.parse('{"a": {"b": [1, "two", null, true]}}');
  const paths = ["a.b.0", "a.b.1", "a.b.2", "a.b.3", "a.b", "a.c"];
  const said: string[] = [];
  for (let i = 0; i < paths.length; i++) said.push(paths[i] + " " + d.text(paths[i]));
  return x.reply(200, "text/plain", said.join("\n"));
}

// Makes garbage; what the instance uses must not grow with it.
function grow(x: Exchange): void {
  let n = 0;
  for (let i = 0; i < 64; i++) n += i.toString().repeat(1024).length;
  x.request.set("x-grown", n.toString());
}

function hex(b: ArrayBuffer): string {
  const u = Uint8Array.wrap(b);
  let out = "";
  for (let i = 0; i < u.length; i++) out += (u[i] < 16 ? "0" : "") + u[i].toString(16);
  return out;
}

function more(x: Exchange): Verdict {
  const key = bytes("0123456789abcdef");
  const sealed = seal(key, bytes("secret"), bytes("with"));
  const said = ["hash " + hex(hash(Hash.SHA256, bytes("abc"))), "hmac " + hex(hmac(Hash.SHA256, key, bytes("abc")))];
  if (sealed !== null) {
    const opened = open(key, sealed, bytes("with"));
    said.push("open " + (opened === null ? "" : text(opened)));
    said.push("other " + (open(key, sealed, bytes("out")) === null ? "nothing" : "opened"));
  }
  said.push("same " + equal(key, key).toString());
  said.push("template " + or(template(Escape.Html, "<b>{{a}}</b>", '{"a": "<"}'), ""));
  said.push("noted " + x.attribute("tier", "gold").toString() + " counted " + new Metric("seen").count([["tier", "gold"]]).toString());
  const all = fetchMany([new FetchRequest("upstream://app/one"), new FetchRequest("upstream://app/two")]);
  for (let i = 0; i < all.length; i++) said.push(all[i].status.toString() + " " + all[i].text());
  return x.reply(200, "text/plain", said.join("\n"));
}
