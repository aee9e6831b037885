// Package telemetry is what the gateway tells about itself: metrics in the
// Prometheus format, the log and the access log.
//
// It knows names and numbers. It must not know routes, upstreams or filters as
// objects: they get handles that are bound to their labels at load, so that a
// request looks nothing up.
package telemetry
