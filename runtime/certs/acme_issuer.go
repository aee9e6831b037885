package certs

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"golang.org/x/crypto/acme"
)

// Waits after an attempt that failed; each further one waits twice as long. A
// refusal costs: Let's Encrypt takes five failed validations of a name per hour.
// A server that isn't reached costs nobody anything.
const (
	firstUnreached, lastUnreached = time.Second, 5 * time.Minute
	firstRefused, lastRefused     = 5 * time.Minute, 6 * time.Hour
	// busyWait is the time between two looks at what another process obtains.
	busyWait = 10 * time.Second
	// attemptTime is what one attempt may take.
	attemptTime = 5 * time.Minute
	// longestWait is the time between two looks at the storage and the clock,
	// which a suspended machine may have moved.
	longestWait = 6 * time.Hour
)

// run keeps the certificate valid until the issuer ends.
func (i *issuer) run() {
	failures := 0
	for {
		wait := i.untilRenewal(time.Now())
		if wait <= 0 {
			i.adopt(time.Now()) // another process may have renewed it
			wait = i.untilRenewal(time.Now())
		}
		if wait <= 0 {
			wait = i.attempt(&failures)
		}
		select {
		case <-i.ctx.Done():
			return
		case <-time.After(min(wait, longestWait)):
		}
	}
}

// adopt shows the pair in the storage if it may be shown and is newer than what
// is shown.
func (i *issuer) adopt(now time.Time) bool {
	pair, err := i.storage.load()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			i.log.Warn("the stored certificate can't be used; another is obtained", "error", err.Error())
		}
		return false
	}
	if shown := i.certificate.Leaf(); i.mine() && !pair.Leaf.NotAfter.After(shown.NotAfter) || now.After(pair.Leaf.NotAfter) {
		return false
	}
	return i.certificate.Replace(pair, now) == nil
}

// mine reports whether what is shown has all the names: it may be borrowed.
func (i *issuer) mine() bool {
	leaf := i.certificate.Leaf()
	if leaf == nil {
		return false
	}
	for _, d := range i.acme.Domains {
		if leaf.VerifyHostname(d) != nil {
			return false
		}
	}
	return true
}

// untilRenewal is the time until the certificate is to be renewed, at most 0 if
// that is due: at two thirds of its lifetime, and up to 1/50 of it before, so
// that certificates obtained together don't stay together.
func (i *issuer) untilRenewal(now time.Time) time.Duration {
	if !i.mine() {
		return 0
	}
	leaf := i.certificate.Leaf()
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	due := leaf.NotBefore.Add(lifetime * 2 / 3)
	if left := due.Sub(now); left <= 0 {
		return 0
	}
	return due.Add(-rand.N(lifetime/50 + 1)).Sub(now)
}

// attempt obtains the certificate once, and returns how long to wait then.
func (i *issuer) attempt(failures *int) time.Duration {
	unlock, err := i.storage.lock()
	if errors.Is(err, errBusy) {
		return busyWait + rand.N(busyWait)
	}
	if err == nil {
		defer unlock()
		// Whoever had the lock before may have obtained what is wanted.
		if i.adopt(time.Now()) && i.untilRenewal(time.Now()) > 0 {
			return 0
		}
		err = i.obtain()
	}
	if i.ctx.Err() != nil {
		return 0
	}
	if err != nil {
		*failures++
		wait := retryAfter(err, *failures)
		i.failed.Add(1)
		i.log.Error("the certificate can't be obtained; it is tried again", "names", i.acme.Domains, "error", err.Error(),
			"next_try", time.Now().Add(wait).UTC().Format(time.RFC3339))
		return wait
	}
	*failures = 0
	// A clock that is wrong, or a certificate without some name, is no reason to
	// order one after the other.
	leaf := i.certificate.Leaf()
	return max(i.untilRenewal(time.Now()), min(leaf.NotAfter.Sub(leaf.NotBefore)/3, time.Hour))
}

// obtain orders a certificate, keeps it and shows it.
func (i *issuer) obtain() error {
	ctx, cancel := context.WithTimeout(i.ctx, attemptTime)
	defer cancel()
	renewal := i.mine()
	pair, err := i.order(ctx)
	if err != nil {
		return err
	}
	if err := i.certificate.Replace(pair, time.Now()); err != nil {
		return err
	}
	i.obtained.Add(1)
	what := "certificate obtained"
	if renewal {
		what = "certificate renewed"
	}
	i.log.Info(what, "names", i.certificate.Names(), "expires", i.certificate.Leaf().NotAfter.UTC().Format(time.RFC3339))
	return nil
}

// retryAfter is how long to wait after failure number n in a row: what the server
// asks for (RFC 8555 section 6.6), or longer.
func retryAfter(err error, n int) time.Duration {
	first, last := firstUnreached, lastUnreached
	asked := time.Duration(0)
	var refusal *acme.Error
	if errors.As(err, &refusal) {
		asked, _ = acme.RateLimit(refusal)
		if refusal.StatusCode < 500 {
			first, last = firstRefused, lastRefused
		}
	}
	if errors.Is(err, errOrdered) {
		first, last = firstRefused, lastRefused
	}
	wait := last
	if n < 20 {
		wait = min(last, first<<(n-1))
	}
	return max(asked, wait) + rand.N(wait/4)
}
