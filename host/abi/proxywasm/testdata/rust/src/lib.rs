use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::Duration;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { mode: String::new() }));
}}

struct Root {
    mode: String,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.mode = String::from_utf8(self.get_plugin_configuration().unwrap_or_default()).unwrap();
        self.set_tick_period(Duration::from_millis(20));
        true
    }
    fn on_tick(&mut self) {
        let (old, cas) = self.get_shared_data("ticks");
        let n: u64 = old.and_then(|b| String::from_utf8(b).ok()).and_then(|s| s.parse().ok()).unwrap_or(0);
        let _ = self.set_shared_data("ticks", Some((n + 1).to_string().as_bytes()), cas);
    }
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { mode: self.mode.clone() }))
    }
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    mode: String,
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, headers: usize, size: usize, _: usize) {
        if headers == 0 || self.get_http_call_response_header(":status").as_deref() != Some("200") {
            self.send_http_response(401, vec![], Some(b"refused\n"));
            return;
        }
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        self.set_http_request_header("x-user", Some(&String::from_utf8_lossy(&body)));
        self.resume_http_request();
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        match self.mode.as_str() {
            "call" => {
                self.dispatch_http_call(
                    "auth",
                    vec![(":method", "POST"), (":path", "/check"), (":authority", "auth.test"), ("x-sent", "yes")],
                    Some(b"ping"), vec![], Duration::from_secs(1),
                ).unwrap();
                Action::Pause
            }
            "reply" => {
                self.send_http_response(403, vec![("x-why", "because")], Some(b"no entry\n"));
                Action::Pause
            }
            "seen" => {
                let host = self.get_http_request_header(":authority").unwrap_or_default();
                let agent = self.get_http_request_header("user-agent").unwrap_or_default();
                if host.len() + agent.len() > 1000 {
                    return Action::Pause;
                }
                self.set_http_request_header("x-seen", Some("yes"));
                Action::Continue
            }
            "panic" => panic!("on purpose"),
            _ => {
                let path = self.get_http_request_header(":path").unwrap_or_default();
                let user = self.get_http_request_header("x-in").unwrap_or_default();
                self.set_http_request_header("x-rust", Some(&format!("{path} {user}")));
                self.set_http_request_header("x-gone", None);
                let method = self.get_property(vec!["request", "method"]).unwrap_or_default();
                self.set_http_request_header("x-method", Some(&String::from_utf8_lossy(&method)));
                let (ticks, _) = self.get_shared_data("ticks");
                self.set_http_request_header("x-ticks", Some(if ticks.is_some() { "some" } else { "none" }));
                log::info!("a request to {path}");
                Action::Continue
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if self.mode != "body" {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        if let Some(b) = self.get_http_request_body(0, size) {
            self.set_http_request_body(0, size, String::from_utf8_lossy(&b).to_uppercase().as_bytes());
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.mode != "seen" {
            self.add_http_response_header("x-from", "rust");
        }
        if self.mode == "body" {
            self.set_http_response_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _: bool) -> Action {
        if self.mode == "body" {
            if let Some(b) = self.get_http_response_body(0, size) {
                self.set_http_response_body(0, size, String::from_utf8_lossy(&b).replace("POST", "SENT").as_bytes());
            }
        }
        Action::Continue
    }
}
