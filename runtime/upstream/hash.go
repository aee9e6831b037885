package upstream

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/headgate/headgate/runtime/exchange"
)

// hashOf is the place of a value among the keys of consistent hashing; null has
// none. It is the same in every gateway, so that several of them agree.
func hashOf(v exchange.Value) (hash uint64, ok bool) {
	switch v.Kind {
	case exchange.KindString:
		return xxhash.Sum64String(v.Text), true
	case exchange.KindNumber:
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v.Num))
		return xxhash.Sum64(b[:]), true
	case exchange.KindBool:
		if v.Bool {
			return xxhash.Sum64String("true"), true
		}
		return xxhash.Sum64String("false"), true
	}
	return 0, false
}

// hashOfPoint is the nth place of an endpoint.
func hashOfPoint(address string, n int) uint64 {
	return xxhash.Sum64String(address + "#" + strconv.Itoa(n))
}
