package upstream

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// answer is what one query found.
type answer struct {
	ips      []net.IP
	services []service
	ttl      time.Duration // the least
}

// service is an SRV record.
type service struct {
	target                 string
	port, weight, priority int
}

var (
	errTruncated = errors.New("the answer is truncated")
	errStray     = errors.New("not the answer to the question")
)

// maxUDP is the size of answers over UDP that does not fragment
// (RFC 9715, section 3).
const maxUDP = 1232

// maxAliases bounds a chain of CNAME records.
const maxAliases = 16

func packQuery(id uint16, q dnsmessage.Question) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	var opt dnsmessage.ResourceHeader
	err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAdditionals(),
		opt.SetEDNS0(maxUDP, dnsmessage.RCodeSuccess, false), b.OPTResource(opt, dnsmessage.OPTResource{}))
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// parseAnswer parses the answer to the question q that was asked with id.
func parseAnswer(message []byte, id uint16, q dnsmessage.Question) (answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(message)
	if err != nil || h.ID != id || !h.Response {
		return answer{}, errStray
	}
	asked, err := p.AllQuestions()
	if err != nil || len(asked) != 1 || asked[0].Type != q.Type || asked[0].Class != q.Class || !sameName(asked[0].Name, q.Name) {
		return answer{}, errStray
	}
	switch {
	case h.RCode == dnsmessage.RCodeNameError:
		return answer{}, fmt.Errorf("%s does not exist: %w", q.Name, ErrNoRecords)
	case h.RCode != dnsmessage.RCodeSuccess:
		return answer{}, fmt.Errorf("the server says %s", h.RCode)
	case h.Truncated:
		return answer{}, errTruncated
	}
	records, err := p.AllAnswers()
	if err != nil {
		return answer{}, err
	}
	return pickRecords(records, q)
}

func sameName(a, b dnsmessage.Name) bool { return strings.EqualFold(a.String(), b.String()) }

// pickRecords takes the records of the name that was asked for, or of what it is
// an alias of. The least TTL of all those is that of the answer.
func pickRecords(records []dnsmessage.Resource, q dnsmessage.Question) (answer, error) {
	a := answer{ttl: maxTTL}
	name := q.Name
	for range maxAliases {
		alias := false
		for _, r := range records {
			if c, ok := r.Body.(*dnsmessage.CNAMEResource); ok && sameName(r.Header.Name, name) {
				name, alias = c.CNAME, true
				a.lower(r.Header.TTL)
				break
			}
		}
		if !alias {
			break
		}
	}
	for _, r := range records {
		if r.Header.Type == q.Type && r.Header.Class == q.Class && sameName(r.Header.Name, name) {
			a.add(r)
		}
	}
	if len(a.ips)+len(a.services) == 0 {
		return answer{}, fmt.Errorf("%s has no %s: %w", q.Name, strings.TrimPrefix(q.Type.String(), "Type"), ErrNoRecords)
	}
	return a, nil
}

func (a *answer) add(r dnsmessage.Resource) {
	switch body := r.Body.(type) {
	case *dnsmessage.AResource:
		a.ips = append(a.ips, net.IP(body.A[:]))
	case *dnsmessage.AAAAResource:
		a.ips = append(a.ips, net.IP(body.AAAA[:]))
	case *dnsmessage.SRVResource:
		if body.Port == 0 || body.Target.String() == "." {
			return // the service is not offered there (RFC 2782)
		}
		a.services = append(a.services, service{body.Target.String(), int(body.Port), int(body.Weight), int(body.Priority)})
	}
	a.lower(r.Header.TTL)
}

// lower takes a TTL in seconds, which is 0 if its top bit is set (RFC 2181,
// section 8).
func (a *answer) lower(ttl uint32) {
	if ttl > 1<<31-1 {
		ttl = 0
	}
	a.ttl = min(a.ttl, time.Duration(ttl)*time.Second)
}
