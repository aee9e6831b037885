package gateway

import "github.com/headgate/headgate/runtime/telemetry"

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
