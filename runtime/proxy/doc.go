// Package proxy is the engine: the life of an exchange from the parsed request
// to the recorded response. It looks the route up, runs the chain of filters,
// forwards to an upstream or answers itself, and turns every error into bytes
// (reply.go, the only place that does).
//
// It knows filters only as exchange.Filter. It must not know what they are
// (host, policies), where routes come from (config), or which protocol a client
// speaks (http1, http2): that is behind exchange.Front.
package proxy
