//! The plugin that sdk/conformance plays exchanges against, in Rust: what it does in
//! each mode, README.md of that folder says.

use headgate::crypto::{equal, open, seal, Hash};
use headgate::{template, Algorithm, Config, Document, Escape, Exchange, FetchError, FetchRequest, Filter, Level, Limit, Metric, StateError, Verdict};

headgate::config! {
    /// What the filter block says.
    struct Settings {
        /// What the filter does.
        mode: String,
    }
}

type Request = fn(&mut Exchange) -> Verdict;

const MODES: &[(&str, Request)] = &[
    ("headers", headers), ("message", message), ("reply", reply), ("state", keep), ("body", body), ("log", logs), ("fail", fail),
    ("fetch", fetch), ("keys", keys), ("rate", rate), ("json", document), ("grow", grow),
    ("more", more),
];

struct Conformance {
    mode: String,
    request: Request,
}

impl Filter for Conformance {
    const RESPONSES: bool = true;

    fn configure(config: &Config) -> Result<Self, String> {
        let s: Settings = config.parse()?;
        match MODES.iter().find(|m| m.0 == s.mode) {
            Some(m) => Ok(Conformance { request: m.1, mode: s.mode }),
            None => Err(format!("there is no mode {}", s.mode)),
        }
    }

    fn request(&self, x: &mut Exchange) -> Verdict {
        (self.request)(x)
    }

    fn response(&self, x: &mut Exchange) {
        match self.mode.as_str() {
            "headers" => {
                x.response().set("x-status", x.status().to_string());
                x.response().remove("x-remove");
            }
            "state" => x.response().set("x-path", x.kept::<String>().unwrap()),
            "message" => x.set_status(299),
            "body" => {
                let mut b = x.response_body().to_ascii_uppercase();
                b.push(b'!');
                x.set_response_body(&b);
            }
            _ => {}
        }
    }
}

struct Buffered(Conformance);

impl Filter for Buffered {
    const RESPONSES: bool = true;
    const FEATURES: u32 = headgate::BUFFER_REQUEST | headgate::BUFFER_RESPONSE;

    fn configure(config: &Config) -> Result<Self, String> {
        Conformance::configure(config).map(Buffered)
    }

    fn request(&self, x: &mut Exchange) -> Verdict {
        self.0.request(x)
    }

    fn response(&self, x: &mut Exchange) {
        self.0.response(x)
    }
}

headgate::plugin!("conformance" => Conformance, "buffered" => Buffered);

fn headers(x: &mut Exchange) -> Verdict {
    let h = x.request();
    h.set("x-joined", h.values("X-Multi").join("|"));
    h.set("x-has", format!("{} {}", h.has("x-empty"), h.has("x-none")));
    let all: Vec<String> = h.all().iter().map(|(n, v)| format!("{n}={v}")).collect();
    h.set("x-all", all.join(" "));
    h.set("x-set", "new");
    h.add("x-add", "one");
    h.add("x-add", "two");
    h.remove("x-remove");
    x.response().set("x-early", "set before there was a response");
    Verdict::Continue
}

fn message(x: &mut Exchange) -> Verdict {
    let text = [x.method(), x.uri(), x.protocol(), x.source(), x.request_id()].join(" ");
    x.request().set("x-message", text);
    x.set_method("PUT");
    x.set_uri("/changed?x=%20");
    Verdict::Continue
}

fn reply(x: &mut Exchange) -> Verdict {
    x.response().set("x-why", "because");
    x.reply(418, "text/plain", "no\0 way\n")
}

fn keep(x: &mut Exchange) -> Verdict {
    x.keep(x.uri());
    Verdict::Continue
}

fn body(x: &mut Exchange) -> Verdict {
    let b = x.request_body().to_ascii_uppercase();
    x.set_request_body(&b);
    Verdict::Continue
}

fn logs(x: &mut Exchange) -> Verdict {
    for (i, level) in [Level::Debug, Level::Info, Level::Warn, Level::Error].into_iter().enumerate() {
        x.log(level, format!("line {i}"));
    }
    Verdict::Continue
}

fn fail(x: &mut Exchange) -> Verdict {
    x.fail("on purpose")
}

fn fetch(x: &mut Exchange) -> Verdict {
    let mut q = FetchRequest::post(x.request().get("x-url").unwrap_or_default(), "text/plain", "a body");
    q.method = x.request().get("x-method").unwrap_or_default();
    q.timeout_ms = 1000;
    match x.fetch(&q) {
        Ok(a) => {
            let text = [a.get("x-answer").unwrap_or_default().as_bytes(), b" ", &a.body].concat();
            x.reply(a.status, "text/plain", text)
        }
        Err(e) => {
            let name = match e {
                FetchError::Denied => "denied",
                FetchError::Invalid => "invalid",
                FetchError::Failed => "failed",
                FetchError::Timeout => "timeout",
                FetchError::TooLarge => "large",
            };
            x.reply(502, "text/plain", name)
        }
    }
}

fn said(what: &str, r: Result<bool, StateError>) -> String {
    match r {
        Ok(ok) => format!("{what} {ok}"),
        Err(StateError::TooLarge) => format!("{what} large"),
        Err(_) => format!("{what} denied"),
    }
}

fn keys(x: &mut Exchange) -> Verdict {
    let name = x.request().get("x-namespace").unwrap_or_default();
    let known = x.namespace(&name);
    let get = || {
        let r = known.get("k");
        let v = r.clone().ok().flatten().unwrap_or_default();
        said(&format!("get {}", String::from_utf8_lossy(&v)), r.map(|v| v.is_some()))
    };
    let lines = [
        get(),
        said("create", known.create("k", b"1", 60_000)),
        said("create", known.create("k", b"2", 60_000)),
        said("swap", known.swap("k", b"0", b"2", 60_000)),
        said("swap", known.swap("k", b"1", b"2", 60_000)),
        get(),
        said("delete", known.delete("k").map(|_| true)),
        said("set", known.set(&"k".repeat(2000), b"", 0).map(|_| true)),
        said("set", known.set("kept", b"a value", 0).map(|_| true)),
    ];
    x.reply(200, "text/plain", lines.join("\n"))
}

fn rate(x: &mut Exchange) -> Verdict {
    let l = Limit { algorithm: Algorithm::FixedWindow, events: 2, window_ms: 60_000, burst: 0 };
    match x.namespace("rates").take("k", l, 1) {
        Ok(t) => x.reply(200, "text/plain", format!("{} {} {} {}", t.allowed, t.remaining, t.wait_ms, t.reset_ms)),
        Err(e) => x.fail(e.to_string()),
    }
}

fn document(x: &mut Exchange) -> Verdict {
    let d = Document::new(br#"{"a": {"b": [1, "two", null, true]}}"#);
    let lines: Vec<String> =
        ["a.b.0", "a.b.1", "a.b.2", "a.b.3", "a.b", "a.c"].iter().map(|p| format!("{p} {}", d.text(p))).collect();
    x.reply(200, "text/plain", lines.join("\n"))
}

/// Makes garbage; what the instance uses must not grow with it.
fn grow(x: &mut Exchange) -> Verdict {
    let n: usize = (0..64).map(|i: u32| i.to_string().repeat(1024).len()).sum();
    x.request().set("x-grown", n.to_string());
    Verdict::Continue
}

fn hex(b: &[u8]) -> String {
    b.iter().map(|c| format!("{c:02x}")).collect()
}

fn more(x: &mut Exchange) -> Verdict {
    let key = b"0123456789abcdef";
    let sealed = seal(key, b"secret", b"with").unwrap_or_default();
    let text = |b: Option<Vec<u8>>| String::from_utf8_lossy(&b.unwrap_or_default()).into_owned();
    let mut lines = vec![
        format!("hash {}", hex(&Hash::Sha256.of(b"abc"))),
        format!("hmac {}", hex(&Hash::Sha256.hmac(key, b"abc"))),
        format!("open {}", text(open(key, &sealed, b"with"))),
        format!("other {}", if open(key, &sealed, b"out").is_some() { "opened" } else { "nothing" }),
        format!("same {}", equal(key, key)),
        format!("template {}", text(template(Escape::Html, "<b>{{a}}</b>", br#"{"a": "<"}"#))),
        format!("noted {} counted {}", x.attribute("tier", "gold"), Metric("seen").count(&[("tier", "gold")], 1.0)),
    ];
    for r in x.fetch_many(&[FetchRequest::get("upstream://app/one"), FetchRequest::get("upstream://app/two")]) {
        lines.push(match r {
            Ok(a) => format!("{} {}", a.status, String::from_utf8_lossy(&a.body)),
            Err(e) => e.to_string(),
        });
    }
    x.reply(200, "text/plain", lines.join("\n"))
}
