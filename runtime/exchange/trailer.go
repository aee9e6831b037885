package exchange

// ForbiddenTrailer tells the fields that have a meaning only before the
// content: all that the gateway itself looks at, and those below. Whoever
// merged one of them into a head would let the end of a message change what its
// beginning was taken for (RFC 9110 section 6.5.1).
func ForbiddenTrailer[T ~string | ~[]byte](id Name, name T) bool {
	if id != NameOther {
		return true
	}
	for _, s := range [...]string{"age", "cache-control", "content-encoding", "content-range", "expires", "if-match", "if-modified-since",
		"if-none-match", "if-range", "if-unmodified-since", "max-forwards", "pragma", "range", "retry-after", "set-cookie", "vary", "warning",
		"www-authenticate"} {
		if EqualFold(name, s) {
			return true
		}
	}
	return Alias(name)
}

// DropFrom takes away the fields that o has too: the trailers of a client must not
// say anew what the gateway said in the head.
func (h *Head) DropFrom(o *Head) {
	for i := h.Len() - 1; i >= 0; i-- {
		if _, name, _ := h.At(i); o.findFold(string(name), 0) >= 0 {
			h.DelAt(i)
		}
	}
}
