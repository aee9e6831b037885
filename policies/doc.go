// Package policies decides about exchanges with Rego, evaluated in process by
// OPA: it compiles the modules of a policy once, builds the input document that
// OPA's Envoy plugin would have built (and "headgate" beside it), evaluates one
// prepared query and applies the decision to the exchange.
//
// It knows no configuration language, no routes and no network of its own. What
// it tells others (counts, decision logs) goes through interfaces and writers
// that the caller passes in.
package policies
