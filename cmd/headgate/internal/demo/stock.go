package demo

import (
	_ "embed"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	soapNS  = "http://schemas.xmlsoap.org/soap/envelope/"
	stockNS = "urn:example:stock"
	// stockPath is the one endpoint of the service.
	stockPath = "/StockService"
)

//go:embed stock.wsdl
var stockWSDL string

// stockItem is what the service knows of one article.
type stockItem struct {
	sku, currency, price, restock string
	quantity                      string
	locations                     []string
}

// stockHandler is a service as they were built in 2005: SOAP 1.1 over POST, one
// endpoint, its contract at ?wsdl, errors as faults with status 500.
func stockHandler() http.Handler {
	items := map[string]stockItem{
		"BOLT-M8": {"BOLT-M8", "EUR", "0.12", "", "4200", []string{"Berlin", "Lyon"}},
		"NUT-M8":  {"NUT-M8", "EUR", "0.05", "", "9000", []string{"Berlin"}},
		"GEAR-12": {"GEAR-12", "EUR", "48.90", "2026-09-01", "0", nil},
	}
	m := http.NewServeMux()
	m.HandleFunc("GET "+stockPath, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.URL.Query()["wsdl"]; !ok && !strings.EqualFold(r.URL.RawQuery, "wsdl") {
			http.Error(w, "This is a SOAP service. Its contract is at "+stockPath+"?wsdl", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		var host strings.Builder
		_ = xml.EscapeText(&host, []byte(r.Host))
		_, _ = io.WriteString(w, strings.ReplaceAll(stockWSDL, "@HOST@", host.String()))
	})
	m.HandleFunc("POST "+stockPath, func(w http.ResponseWriter, r *http.Request) {
		sku, fault := readGetStock(w, r)
		if fault != nil {
			fault.write(w)
			return
		}
		it, ok := items[sku]
		if !ok {
			(&soapFault{"soap:Client", "no such article", "<UnknownArticle xmlns=\"" + stockNS + "\"><sku>" + escape(sku) + "</sku></UnknownArticle>"}).write(w)
			return
		}
		writeEnvelope(w, http.StatusOK, it.response())
	})
	m.HandleFunc("/", http.NotFound)
	return m
}

func (it *stockItem) response() string {
	var b strings.Builder
	b.WriteString(`<GetStockResponse xmlns="` + stockNS + `"><sku>` + escape(it.sku) + `</sku><quantity>` + it.quantity + `</quantity>`)
	b.WriteString(`<price currency="` + it.currency + `">` + it.price + `</price>`)
	for _, l := range it.locations {
		b.WriteString(`<location>` + escape(l) + `</location>`)
	}
	if it.restock == "" {
		b.WriteString(`<restock xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>`)
	} else {
		b.WriteString(`<restock>` + it.restock + `</restock>`)
	}
	b.WriteString(`</GetStockResponse>`)
	return b.String()
}

// envelope is the request. The names of the namespaces are checked afterwards,
// so that a wrong one gets the fault that SOAP has for it.
type envelope struct {
	XMLName xml.Name
	Header  struct {
		Blocks []struct {
			XMLName xml.Name
			Must    string `xml:"http://schemas.xmlsoap.org/soap/envelope/ mustUnderstand,attr"`
		} `xml:",any"`
	} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Header"`
	Body *struct {
		Calls []struct {
			XMLName xml.Name
			SKU     []string `xml:"urn:example:stock sku"`
		} `xml:",any"`
	} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
}

func readGetStock(w http.ResponseWriter, r *http.Request) (sku string, fault *soapFault) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "text/xml" {
		return "", &soapFault{"soap:Client", "SOAP 1.1 is sent as text/xml", ""}
	}
	// SOAP 1.1, section 6.1.1: a client must send the field; empty means the
	// intent is in the URI.
	if _, ok := r.Header["Soapaction"]; !ok {
		return "", &soapFault{"soap:Client", "the SOAPAction field is missing", ""}
	}
	var e envelope
	if err := decodeXML(http.MaxBytesReader(w, r.Body, maxBody), &e); err != nil {
		return "", &soapFault{"soap:Client", "the message is no well-formed envelope: " + err.Error(), ""}
	}
	if e.XMLName.Local != "Envelope" || e.XMLName.Space != soapNS {
		return "", &soapFault{"soap:VersionMismatch", "the envelope is not of SOAP 1.1", ""}
	}
	for _, b := range e.Header.Blocks {
		if b.Must == "1" {
			return "", &soapFault{"soap:MustUnderstand", "the header " + b.XMLName.Local + " is not understood", ""}
		}
	}
	if e.Body == nil || len(e.Body.Calls) != 1 {
		return "", &soapFault{"soap:Client", "the body holds one call", ""}
	}
	call := e.Body.Calls[0]
	if call.XMLName.Space != stockNS || call.XMLName.Local != "GetStock" {
		return "", &soapFault{"soap:Client", "there is no operation " + call.XMLName.Local, ""}
	}
	if len(call.SKU) != 1 || strings.TrimSpace(call.SKU[0]) == "" {
		return "", &soapFault{"soap:Client", "GetStock takes one sku", ""}
	}
	return strings.TrimSpace(call.SKU[0]), nil
}

// decodeXML refuses document types, as SOAP 1.1 (section 3) demands.
func decodeXML(r io.Reader, v any) error {
	d := xml.NewDecoder(r)
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Directive:
			return errors.New("a document type is not allowed")
		case xml.StartElement:
			return d.DecodeElement(v, &t)
		}
	}
}

type soapFault struct{ code, text, detail string }

func (f *soapFault) write(w http.ResponseWriter) {
	body := "<soap:Fault><faultcode>" + f.code + "</faultcode><faultstring>" + escape(f.text) + "</faultstring>"
	if f.detail != "" {
		body += "<detail>" + f.detail + "</detail>"
	}
	writeEnvelope(w, http.StatusInternalServerError, body+"</soap:Fault>")
}

func writeEnvelope(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="utf-8"?>`+"\n"+
		`<soap:Envelope xmlns:soap="`+soapNS+`"><soap:Body>`+body+"</soap:Body></soap:Envelope>\n")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
