package gateway

import (
	"time"

	"github.com/headgate/headgate/runtime/telemetry"
)

// watchCertificates makes metrics of what the store knows.
func (g *Gateway) watchCertificates() {
	telemetry.RegisterCertificates(g.registry, func() []telemetry.Certificate {
		var list []telemetry.Certificate
		for _, c := range g.certs.Stats() {
			list = append(list, telemetry.Certificate{Name: c.Certificate, CAFile: c.CAFile, NotAfter: c.NotAfter, Loaded: c.Loaded, Refused: c.Refused})
		}
		return list
	})
}

type certificateInfo struct {
	Name    string    `json:"name"`
	Names   []string  `json:"names"`
	Expires time.Time `json:"expires,omitzero"`
}

// certificates is what is shown now.
func (g *Gateway) certificates() []certificateInfo {
	list := []certificateInfo{}
	for _, c := range g.certs.Stats() {
		if c.Certificate != "" {
			list = append(list, certificateInfo{c.Certificate, c.Names, c.NotAfter.UTC()})
		}
	}
	return list
}
