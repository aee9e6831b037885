package headgate

// Chunk is a piece of a body that passes. It passes as it is unless one of its
// methods says otherwise; the last call counts.
type Chunk struct {
	// Size is how many bytes there are; 0 for the last one, maybe.
	Size int
	// Last is set for the end of the body.
	Last bool

	read   func() []byte
	data   []byte
	action uint32
	out    []byte
}

// The results of the ABI.
const (
	chunkContinue = iota
	chunkBuffer
	chunkReplace
	chunkEnd
)

// NewChunk makes a chunk. Plugins get theirs; package headgatetest makes them for
// tests.
func NewChunk(data []byte, last bool) *Chunk { return &Chunk{Size: len(data), Last: last, data: data} }

// Data returns what there is. It takes memory of the plugin: a chunk that need not be
// looked at costs less.
func (c *Chunk) Data() []byte {
	if c.data == nil && c.Size > 0 {
		c.data = c.read()
	}
	return c.data
}

// Replace lets p pass instead, which may be empty.
func (c *Chunk) Replace(p []byte) { c.action, c.out = chunkReplace, p }

// Buffer keeps the chunk until more is there: the next one begins with it. The last
// one passes. What is kept counts against limits.memory.
func (c *Chunk) Buffer() { c.action = chunkBuffer }

// End lets p pass instead, and drops all that follows.
func (c *Chunk) End(p []byte) { c.action, c.out = chunkEnd, p }

// Outcome returns what passes. It is for headgatetest.
func (c *Chunk) Outcome() (out []byte, buffer, end bool) {
	switch c.action {
	case chunkReplace, chunkEnd:
		return c.out, false, c.action == chunkEnd
	case chunkBuffer:
		if !c.Last {
			return nil, true, false
		}
	}
	return c.data, false, false
}
