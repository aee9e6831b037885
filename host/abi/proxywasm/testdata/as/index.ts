export * from "@gcoredev/proxy-wasm-sdk-as/assembly/proxy";
import {
  Context, FilterDataStatusValues, FilterHeadersStatusValues, Headers, HeaderPair, LogLevelValues, RootContext, WasmResultValues,
  BufferTypeValues, get_buffer_bytes, get_property, log, makeHeaderPair, registerRootContext, send_http_response, set_buffer_bytes, stream_context,
} from "@gcoredev/proxy-wasm-sdk-as/assembly";

class Root extends RootContext {
  createContext(id: u32): Context { return new Stream(id, this); }
}

class Stream extends Context {
  constructor(id: u32, root: Root) { super(id, root); }

  onRequestHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    const h = stream_context.headers.request;
    const mode = this.root_context.getConfiguration();
    if (mode == "reply") {
      const fields: Headers = [makeHeaderPair("x-why", "because")];
      send_http_response(403, "forbidden", String.UTF8.encode("no entry\n"), fields);
      return FilterHeadersStatusValues.StopIteration;
    }
    h.add("x-as", h.get(":path") + " " + h.get("x-in"));
    h.replace("x-count", h.get_headers().length > 3 ? "many" : "few");
    h.remove("x-gone");
    const method = get_property("request.method");
    log(LogLevelValues.info, "request " + String.UTF8.decode(get_property("request\0method")));
    return FilterHeadersStatusValues.Continue;
  }

  onRequestBody(size: usize, end: bool): FilterDataStatusValues {
    if (!end) return FilterDataStatusValues.StopIterationAndBuffer;
    const text = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, <u32>size));
    set_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, <u32>size, String.UTF8.encode(text.toUpperCase()));
    return FilterDataStatusValues.Continue;
  }

  onResponseHeaders(count: u32, end: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add("x-from", "as");
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32) => { return new Root(id); }, "as");
