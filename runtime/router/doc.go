// Package router finds the route of a request in an immutable table: hosts,
// then paths, then predicates.
//
// A route here is a pattern and a number. What happens to a request that
// matches is not known to this package.
package router
