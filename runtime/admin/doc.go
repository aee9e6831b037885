// Package admin serves the admin API: health, metrics, the configuration in
// force and its status, and the order to reload.
//
// It asks one Source for everything and must not know how a gateway works. It
// is the one place where net/http serves: its traffic is small, and it is meant
// for people, probes and Prometheus. It assumes that browsers on the same
// machine open hostile pages: it answers to its own names only, and no page can
// make it do anything.
package admin
