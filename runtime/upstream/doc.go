// Package upstream is where requests go: clusters of endpoints, the choice
// among them, and the connections to each.
//
// Endpoints outlive configurations: a cluster of a new generation shares the
// endpoints that it has in common with the old one, with their connections and
// counts. The package knows nothing of routes and filters.
package upstream
