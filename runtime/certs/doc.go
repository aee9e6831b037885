// Package certs chooses, reloads and obtains the certificates that listeners
// show. Certificates outlive configurations: a reload keeps what did not change.
//
// The package knows TLS, files and ACME. It must not know listeners, routes or
// configuration.
package certs
