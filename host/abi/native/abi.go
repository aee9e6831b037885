package native

import (
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// The exports of a guest.
const (
	exportMemory    = "memory"
	exportRequest   = "handle_request"
	exportResponse  = "handle_response"
	exportConfigure = "headgate_configure"
	exportDone      = "headgate_done"

	exportRequestChunk  = "headgate_request_chunk"
	exportResponseChunk = "headgate_response_chunk"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
	f64 = api.ValueTypeF64
)

type signature struct{ params, results []api.ValueType }

// required are the exports without which a module is no plugin; optional ones
// must have these signatures if they are there.
var (
	requiredExports = []string{exportRequest, exportResponse}
	signatures      = map[string]signature{
		exportRequest:   {nil, []api.ValueType{i64}},
		exportResponse:  {[]api.ValueType{i32, i32}, nil},
		exportConfigure: {[]api.ValueType{i32}, []api.ValueType{i32}},
		exportDone:      {[]api.ValueType{i32}, nil},

		exportRequestChunk:  {[]api.ValueType{i32, i32, i32}, []api.ValueType{i32}},
		exportResponseChunk: {[]api.ValueType{i32, i32, i32}, []api.ValueType{i32}},
	}
)

// Describe returns the signature of an export in the text format's words, for
// messages.
func Describe(export string) string {
	s, ok := signatures[export]
	if !ok {
		return "memory"
	}
	text := "func"
	if len(s.params) > 0 {
		text += " (param"
		for _, t := range s.params {
			text += " " + api.ValueTypeName(t)
		}
		text += ")"
	}
	if len(s.results) > 0 {
		text += " (result " + api.ValueTypeName(s.results[0]) + ")"
	}
	return text
}

// Check looks at the exports of a module. missing names the first export that
// the ABI needs and that is absent; wrong the first with another signature.
// configurable tells that one instance serves many configurations.
func Check(functions map[string]api.FunctionDefinition, memories map[string]api.MemoryDefinition) (configurable bool, missing, wrong string) {
	for _, name := range requiredExports {
		if functions[name] == nil {
			return false, name, ""
		}
	}
	if memories[exportMemory] == nil {
		return false, exportMemory, ""
	}
	for _, name := range []string{exportRequest, exportResponse, exportConfigure, exportDone, exportRequestChunk, exportResponseChunk} {
		f, want := functions[name], signatures[name]
		if f != nil && (!slices.Equal(f.ParamTypes(), want.params) || !slices.Equal(f.ResultTypes(), want.results)) {
			return false, "", name
		}
	}
	return functions[exportConfigure] != nil, "", ""
}

// The features of enable_features.
const (
	featureBufferRequest  = 1
	featureBufferResponse = 2
	featureTrailers       = 4
	featuresOffered       = featureBufferRequest | featureBufferResponse | featureTrailers
)

// The header kinds.
const (
	kindRequest = iota
	kindResponse
	kindRequestTrailer
	kindResponseTrailer
)

// The low half of the result of handle_request. Bit 0 passes the exchange on.
// Bit 1 is ours: a guest with headgate_configure says that it does not want
// handle_response, so that its instance is free at once.
//
// The chunk bits, which such guests have too, ask for the bodies as they pass.
const (
	nextBit          = 1
	noResponseBit    = 2
	requestChunkBit  = 4
	responseChunkBit = 8
)
