package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
)

// maxBody bounds what the backends read of a request.
const maxBody = 1 << 20

// maxOrders bounds what a demo that runs for long keeps.
const maxOrders = 10_000

// order is one order. Field names are the API's.
type order struct {
	ID     string `json:"id"`
	User   string `json:"user"`
	Status string `json:"status"`
	Items  []item `json:"items"`
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// orders is the REST service.
type orders struct {
	mu   sync.Mutex
	list []order
	next int

	sockets sync.WaitGroup
}

func newOrders() *orders {
	return &orders{next: 1003, list: []order{
		{"1001", "u1", "shipped", []item{{"BOLT-M8", 200}, {"NUT-M8", 200}}},
		{"1002", "u2", "open", []item{{"GEAR-12", 3}}},
	}}
}

func (o *orders) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /orders", o.all)
	m.HandleFunc("POST /orders", o.create)
	m.HandleFunc("/orders", notAllowed("GET, HEAD, POST"))
	m.HandleFunc("GET /orders/{id}", o.one)
	m.HandleFunc("/orders/{id}", notAllowed("GET, HEAD"))
	m.HandleFunc("/echo", echo)
	m.HandleFunc("GET /events", events)
	m.HandleFunc("GET /ws", o.socket)
	m.HandleFunc("/", notFound)
	return m
}

func (o *orders) all(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	o.mu.Lock()
	out := make([]order, 0, len(o.list))
	for _, v := range o.list {
		if user == "" || v.User == user {
			out = append(out, v)
		}
	}
	o.mu.Unlock()
	writeJSON(w, http.StatusOK, out)
}

func (o *orders) one(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, v := range o.list {
		if v.ID == id {
			writeJSON(w, http.StatusOK, v)
			return
		}
	}
	writeProblem(w, http.StatusNotFound, "there is no order "+strconv.Quote(id))
}

func (o *orders) create(w http.ResponseWriter, r *http.Request) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		writeProblem(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	var v order
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			err = nil
		} else {
			err = errors.New("more than one value")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		writeProblem(w, http.StatusRequestEntityTooLarge, "the order is too large")
		return
	case err != nil:
		writeProblem(w, http.StatusBadRequest, "the body is no order: "+err.Error())
		return
	}
	if errs := v.check(); len(errs) > 0 {
		writeProblem(w, http.StatusUnprocessableEntity, "the order is not complete", errs...)
		return
	}
	o.mu.Lock()
	full := len(o.list) >= maxOrders
	if !full {
		v.ID, v.Status = strconv.Itoa(o.next), "open"
		o.next++
		o.list = append(o.list, v)
	}
	o.mu.Unlock()
	if full {
		writeProblem(w, http.StatusInsufficientStorage, "the demo keeps no more orders; start it again")
		return
	}
	w.Header().Set("Location", "/orders/"+v.ID)
	writeJSON(w, http.StatusCreated, v)
}

func (v *order) check() []fieldError {
	var errs []fieldError
	if v.ID != "" {
		errs = append(errs, fieldError{"/id", "the service chooses it"})
	}
	if v.Status != "" {
		errs = append(errs, fieldError{"/status", "a new order is open"})
	}
	if v.User == "" {
		errs = append(errs, fieldError{"/user", "is required"})
	}
	if len(v.Items) == 0 {
		errs = append(errs, fieldError{"/items", "needs at least one"})
	}
	for i, it := range v.Items {
		if it.SKU == "" {
			errs = append(errs, fieldError{fmt.Sprintf("/items/%d/sku", i), "is required"})
		}
		if it.Quantity < 1 {
			errs = append(errs, fieldError{fmt.Sprintf("/items/%d/quantity", i), "must be at least 1"})
		}
	}
	return errs
}
