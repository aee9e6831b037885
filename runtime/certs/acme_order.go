package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/acme"
)

// order obtains a pair and keeps it (RFC 8555 section 7.4).
func (i *issuer) order(ctx context.Context) (tls.Certificate, error) {
	client, err := i.client()
	if err != nil {
		return tls.Certificate{}, err
	}
	defer client.HTTPClient.CloseIdleConnections()
	if err := i.register(ctx, client); err != nil {
		return tls.Certificate{}, fmt.Errorf("account: %w", err)
	}
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(i.acme.Domains...))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("order: %w", err)
	}
	pair, err := i.fulfil(ctx, client, order)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: %w", errOrdered, err)
	}
	return pair, nil
}

// errOrdered wraps what goes wrong once there is an order, which counts towards
// the server's limits.
var errOrdered = errors.New("the order failed")

// fulfil does what an order asks for.
func (i *issuer) fulfil(ctx context.Context, client *acme.Client, order *acme.Order) (tls.Certificate, error) {
	for _, url := range order.AuthzURLs {
		if err := i.prove(ctx, client, url); err != nil {
			return tls.Certificate{}, err
		}
	}
	ready, err := client.WaitOrder(ctx, order.URI)
	if err != nil {
		return tls.Certificate{}, err
	}
	ready.URI = order.URI // only the answer to a new order has to tell it
	return i.finish(ctx, client, ready)
}

// finish asks for the certificate of an order whose names are proven. Its key is
// a new one each time.
func (i *issuer) finish(ctx context.Context, client *acme.Client, order *acme.Order) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: i.acme.Domains}, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("finalize: %w", err)
	}
	if err := i.storage.save(key, chain); err != nil {
		// Better a certificate until the next restart than none.
		i.log.Error("the certificate can't be kept", "error", err.Error())
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}, nil
}

func (i *issuer) client() (*acme.Client, error) {
	key, err := i.storage.account()
	if err != nil {
		return nil, err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if i.acme.CAFile != "" {
		text, err := readFile(i.acme.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.acme.CAFile, err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: there is no certificate in it", i.acme.CAFile)
		}
	}
	return &acme.Client{
		Key: key, DirectoryURL: i.acme.Directory, UserAgent: "headgate", RetryBackoff: again,
		HTTPClient: &http.Client{
			Timeout: 30 * time.Second,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, ForceAttemptHTTP2: true,
				DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			},
		},
	}, nil
}

// again is acme.Client.RetryBackoff: soon for a nonce that was used up (RFC 8555
// section 6.5), in a few seconds for a server that asks for that, and otherwise
// not within the attempt.
func again(n int, _ *http.Request, resp *http.Response) time.Duration {
	if n > 10 {
		return 0
	}
	if resp.StatusCode == http.StatusBadRequest {
		return time.Duration(n)*20*time.Millisecond + mathrand.N(20*time.Millisecond)
	}
	asked, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || asked < 0 || asked > 10 || n > 3 {
		return 0
	}
	return time.Duration(asked+1)*time.Second + mathrand.N(time.Second)
}

// register makes the account, or finds that it is there.
func (i *issuer) register(ctx context.Context, client *acme.Client) error {
	account := &acme.Account{}
	if i.acme.Email != "" {
		account.Contact = []string{"mailto:" + i.acme.Email}
	}
	_, err := client.Register(ctx, account, acme.AcceptTOS)
	if errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil
	}
	return err
}

// prove has the server check one name (RFC 8555 section 7.5.1).
func (i *issuer) prove(ctx context.Context, client *acme.Client, url string) error {
	z, err := client.GetAuthorization(ctx, url)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	domain := z.Identifier.Value
	switch z.Status {
	case acme.StatusValid: // from an order before
		return nil
	case acme.StatusPending:
	default:
		return fmt.Errorf("authorization of %s: it is %s", domain, z.Status)
	}
	at := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == i.acme.Challenge })
	if at < 0 {
		return fmt.Errorf("authorization of %s: the server offers no challenge %s", domain, i.acme.Challenge)
	}
	shut, err := i.answer(client, domain, z.Challenges[at].Token)
	if err != nil {
		return err
	}
	defer shut()
	if _, err := client.Accept(ctx, z.Challenges[at]); err != nil {
		return fmt.Errorf("challenge for %s: %w", domain, err)
	}
	if _, err := client.WaitAuthorization(ctx, url); err != nil {
		return fmt.Errorf("challenge for %s: %w", domain, err)
	}
	return nil
}

// answer makes the listeners answer a challenge until shut.
func (i *issuer) answer(client *acme.Client, domain, token string) (shut func(), err error) {
	if i.acme.Challenge == ChallengeHTTP {
		body, err := client.HTTP01ChallengeResponse(token)
		if err != nil {
			return nil, err
		}
		return i.challenges.openHTTP(domain, client.HTTP01ChallengePath(token), body), nil
	}
	cert, err := client.TLSALPN01ChallengeCert(token, domain)
	if err != nil {
		return nil, err
	}
	return i.challenges.openTLS(domain, &cert), nil
}
