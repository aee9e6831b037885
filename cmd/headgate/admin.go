package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// tokenVariable holds the admin token for commands: an argument would be seen in
// the list of processes.
const tokenVariable = "HEADGATE_ADMIN_TOKEN"

// adminTime bounds one request to the admin API.
const adminTime = time.Minute

// maxAnswer bounds what is read of an answer in bytes: the configuration of a
// large gateway is long.
const maxAnswer = 1 << 30

// adminAPI is a running gateway's admin API.
type adminAPI struct{ base string }

// admin is the -admin flag.
func (f *flags) admin() *string {
	return f.String("admin", "", "ask the running gateway with this admin API, such as http://127.0.0.1:9901; its token is taken from "+tokenVariable)
}

// call sends body, nil for GET, and decodes the answer into v. An answer with an
// error is an error with its text.
func (a adminAPI) call(path string, body, v any) error {
	u, err := url.Parse(a.base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not the address of an admin API; write for example http://127.0.0.1:9901", a.base)
	}
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		p, err := json.Marshal(body)
		if err != nil {
			return err
		}
		method, content = http.MethodPost, bytes.NewReader(p)
	}
	r, err := http.NewRequestWithContext(background(), method, strings.TrimSuffix(a.base, "/")+path, content)
	if err != nil {
		return err
	}
	if token := os.Getenv(tokenVariable); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: adminTime}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		if json.Unmarshal(p, &problem) != nil || problem.Detail == "" {
			problem.Detail = resp.Status
		}
		if resp.StatusCode == http.StatusUnprocessableEntity {
			return &refusal{problem.Detail}
		}
		return errors.New(problem.Detail)
	}
	return json.Unmarshal(p, v)
}

// refusal is an answer of the admin API that the question is wrong.
type refusal struct{ detail string }

// Error implements error.
func (r *refusal) Error() string { return r.detail }
