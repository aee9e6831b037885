package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseDuration parses "250ms". A bare number has no unit, except 0.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		if _, e := strconv.ParseFloat(s, 64); e == nil {
			return 0, errors.New("a duration needs a unit (ms, s, m, h)")
		}
		return 0, errors.New("a duration is a number and a unit (ms, s, m, h)")
	}
	if d < 0 {
		return 0, errors.New("a duration is not negative")
	}
	return d, nil
}

// parseSize parses "16MiB". A bare number is bytes.
func parseSize(s string) (int64, error) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	digits, unit := s, ""
	if i >= 0 {
		digits, unit = s[:i], strings.TrimSpace(s[i:])
	}
	factor, ok := map[string]float64{
		"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	}[unit]
	if !ok {
		return 0, errors.New("a size is a number and a unit (B, KiB, MiB, GiB)")
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, errors.New("a size is a number and a unit (B, KiB, MiB, GiB)")
	}
	n *= factor
	if n != math.Trunc(n) {
		return 0, errors.New("it is not a whole number of bytes")
	}
	if n > math.MaxInt64/2 {
		return 0, fmt.Errorf("it is too large")
	}
	return int64(n), nil
}
