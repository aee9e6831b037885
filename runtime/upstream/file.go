package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// fileEvery is how often a file is looked at. Looking, unlike being told,
	// works the same for renames, swapped links and network file systems.
	fileEvery = 500 * time.Millisecond
	// maxFile bounds a file, in bytes.
	maxFile = 4 << 20
	// maxWeight bounds the weight of an endpoint, as in the configuration.
	maxWeight = 1 << 16
)

// fileSource reads a file when it changed.
type fileSource struct {
	path string
	last os.FileInfo
	read time.Time // when
	data []byte
	err  error
}

func newFileSource(path string) *fileSource { return &fileSource{path: path} }

func (f *fileSource) look(context.Context) (found, error) {
	again := found{again: fileEvery}
	info, err := os.Stat(f.path)
	if err != nil {
		f.last, f.data = nil, nil
		return again, err
	}
	if f.same(info) {
		return again, f.unchanged()
	}
	f.last, f.read = info, time.Now()
	data, err := readBounded(f.path)
	if err != nil {
		f.last, f.data = nil, nil
		return again, err
	}
	if f.data != nil && bytes.Equal(data, f.data) {
		return again, f.unchanged()
	}
	f.data = data
	again.endpoints, f.err = parseEndpoints(data)
	if f.err != nil {
		f.err = fmt.Errorf("%s:%w", f.path, f.err)
	}
	return again, f.err
}

func (f *fileSource) unchanged() error {
	if f.err != nil {
		return f.err
	}
	return errUnchanged
}

// same reports whether info is of the file that was read last. One that had only
// just been written then may have changed since within the resolution of its
// time.
func (f *fileSource) same(info os.FileInfo) bool {
	return f.last != nil && os.SameFile(f.last, info) && f.last.Size() == info.Size() &&
		f.last.ModTime().Equal(info.ModTime()) && f.read.Sub(info.ModTime()) > 2*time.Second
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path) // a pipe would block
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, err
}

// parseEndpoints parses a list of endpoints. Errors begin with line:column.
func parseEndpoints(data []byte) ([]EndpointConfig, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	at := func(err error) error {
		offset := d.InputOffset()
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			offset = syntax.Offset
		case errors.As(err, &kind):
			offset = max(offset, kind.Offset)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			offset, err = int64(len(data)), errors.New("the list ends early")
		}
		line, column := position(data, offset)
		return fmt.Errorf("%d:%d: %w", line, column, err)
	}
	if t, err := d.Token(); err != nil {
		return nil, at(err)
	} else if t != json.Delim('[') {
		return nil, at(errors.New("not a list of endpoints"))
	}
	list := []EndpointConfig{}
	for d.More() {
		if len(list) == MaxDiscovered {
			return nil, at(fmt.Errorf("more than %d endpoints", MaxDiscovered))
		}
		e, err := parseEndpoint(d)
		if err != nil {
			return nil, at(err)
		}
		list = append(list, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, at(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, at(errors.New("something follows the list"))
	}
	return list, nil
}

func parseEndpoint(d *json.Decoder) (EndpointConfig, error) {
	var e struct {
		Address string            `json:"address"`
		Weight  *int              `json:"weight"`
		Labels  map[string]string `json:"labels"`
	}
	if err := d.Decode(&e); err != nil {
		return EndpointConfig{}, err
	}
	c := EndpointConfig{Address: e.Address, Weight: 1, Labels: e.Labels}
	if e.Weight != nil {
		c.Weight = *e.Weight
	}
	if c.Weight < 1 || c.Weight > maxWeight {
		return c, fmt.Errorf("weight is %d, not from 1 to %d", c.Weight, maxWeight)
	}
	return c, checkAddress(c.Address)
}

func checkAddress(a string) error {
	if path, ok := strings.CutPrefix(a, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > 107 || strings.ContainsRune(path, 0) { // sun_path
			return fmt.Errorf("%q is not a Unix socket", a)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(a)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || n == 0 || host == "" || len(host) > 255 || strings.ContainsAny(host, " /\t\r\n\x00") {
		return fmt.Errorf("%q is not host:port or unix:/path", a)
	}
	return nil
}

func position(data []byte, offset int64) (line, column int) {
	before := data[:min(max(offset, 0), int64(len(data)))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}
