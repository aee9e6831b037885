package demo

import (
	"net/http"
	"strconv"
)

type user struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Email string   `json:"email"`
	Roles []string `json:"roles"`
}

// usersHandler is a service that is only read.
func usersHandler() http.Handler {
	list := []user{
		{"u1", "Ada Byron", "ada@example.com", []string{"admin"}},
		{"u2", "Blaise Pascal", "blaise@example.com", []string{"reader"}},
		{"u3", "Carl Gauss", "carl@example.com", []string{"reader"}},
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, list) })
	m.HandleFunc("/users", notAllowed("GET, HEAD"))
	m.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		for _, u := range list {
			if u.ID == id {
				writeJSON(w, http.StatusOK, u)
				return
			}
		}
		writeProblem(w, http.StatusNotFound, "there is no user "+strconv.Quote(id))
	})
	m.HandleFunc("/users/{id}", notAllowed("GET, HEAD"))
	m.HandleFunc("/", notFound)
	return m
}
