//go:build !unix

package certs

import "os"

// lockFile does nothing: writes are atomic, so that the worst is an order too
// many.
func lockFile(*os.File) error { return nil }
