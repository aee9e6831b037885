//go:build unix

package certs

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks f until it is closed; errBusy if someone else has it.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errBusy
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP):
		return nil // a file system without locks: writes are atomic all the same
	}
	return err
}
