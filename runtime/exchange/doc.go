// Package exchange is the vocabulary of the gateway: one request and its
// response (Exchange), their heads (Head) and bodies (Body), the two sides that
// carry them (Front), what runs in between (Filter) and request-time values
// (Expr, Value).
//
// It is a leaf. It knows no protocol, no configuration and no network: it
// imports the standard library only and must never depend on net/http, so that
// each protocol adapts to it and not the other way round.
package exchange
