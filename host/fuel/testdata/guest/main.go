//go:build wasip1

// Command guest does what plugins do, for the benchmark of what fuel costs.
package main

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

func main() {}

type user struct {
	ID      int               `json:"id"`
	Name    string            `json:"name"`
	Roles   []string          `json:"roles"`
	Limits  map[string]int    `json:"limits"`
	Address map[string]string `json:"address"`
}

const document = `{"id":12345,"name":"some user","roles":["reader","writer","admin"],"limits":{"minute":600,"day":100000},"address":{"street":"Example Road 1","city":"Anywhere","country":"XY"}}`

var (
	sum     int
	blob    = bytes.Repeat([]byte("a header field, and another one; "), 256)
	agent   = regexp.MustCompile(`(?i)(bot|crawler|spider)[/ ]([0-9.]+)|curl/([0-9.]+)`)
	headers = map[string][]string{}
	packed  bytes.Buffer

	packer, _ = flate.NewWriter(&packed, 6)
)

//go:wasmexport json
func doJSON() {
	var u user
	if json.Unmarshal([]byte(document), &u) == nil {
		out, _ := json.Marshal(&u)
		sum += len(out)
	}
}

//go:wasmexport regexp
func doRegexp() {
	sum += len(agent.FindStringSubmatch("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (compatible; SomeBot/2.1; +http://example.com/bot.html)"))
}

//go:wasmexport sha256
func doSHA256() { s := sha256.Sum256(blob); sum += int(s[0]) }

//go:wasmexport crc32
func doCRC32() { sum += int(crc32.ChecksumIEEE(blob)) }

//go:wasmexport base64
func doBase64() {
	d, _ := base64.StdEncoding.DecodeString(base64.StdEncoding.EncodeToString(blob))
	sum += len(d)
}

//go:wasmexport sort
func doSort() {
	x, list := uint32(1), make([]uint32, 1000)
	for i := range list {
		x = x*1664525 + 1013904223
		list[i] = x
	}
	slices.Sort(list)
	sum += int(list[0])
}

//go:wasmexport deflate
func doDeflate() {
	packed.Reset()
	packer.Reset(&packed)
	packer.Write(blob)
	packer.Close()
	sum += packed.Len()
}

//go:wasmexport url
func doURL() {
	u, err := url.Parse("https://user@example.com:8443/a/b%20c/d?x=1&y=2&z=a%2fb#there")
	if err == nil {
		q := u.Query()
		q.Set("n", "3")
		sum += len(q.Encode())
	}
}

//go:wasmexport headers
func doHeaders() {
	clear(headers)
	for line := range strings.SplitSeq("Accept: */*\r\nUser-Agent: curl/8\r\nX-A: one, two, three\r\nCookie: a=b; c=d; e=f\r\nHost: example.com", "\r\n") {
		name, v, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		headers[name] = append(headers[name], strings.TrimSpace(v))
	}
	sum += len(headers)
}

//go:wasmexport format
func doFormat() {
	sum += len(fmt.Sprintf("%s %08x %q %v %.3f", "text", 123456, "quoted", []int{1, 2, 3}, 3.14159))
}
