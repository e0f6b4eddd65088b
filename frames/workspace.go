package frames

import "sync"

// workspace is the memory that a Decoder needs only while it decodes a frame.
// Thousands of idle connections share a few.
type workspace struct {
	frame Frame
	buf   []byte // bytes of an unfinished frame
}

// Initial capacities of a workspace, and the largest ones that return to the
// pool.
const (
	firstBuffer   = 512
	firstHeaders  = 16
	pooledBuffer  = DefaultFrame
	pooledHeaders = 2 * DefaultHeaders
)

var workspaces = sync.Pool{New: func() any {
	return &workspace{frame: Frame{Headers: make([]Header, 0, firstHeaders)}}
}}

func newWorkspace() *workspace { return workspaces.Get().(*workspace) }

// clear drops all references to the last frame.
func (w *workspace) clear() {
	clear(w.frame.Headers)
	w.frame = Frame{Headers: w.frame.Headers[:0]}
}

// free returns w to the pool.
func (w *workspace) free() {
	if w == nil {
		return
	}
	w.clear()
	if cap(w.buf) > pooledBuffer {
		w.buf = nil
	}
	if cap(w.frame.Headers) > pooledHeaders {
		w.frame.Headers = nil
	}
	workspaces.Put(w)
}

// append adds p to buf. It doubles the buffer when needed, but not beyond most:
// memory for a content-length is not allocated before the bytes arrive.
func (w *workspace) append(p []byte, most int) {
	if need := len(w.buf) + len(p); need > cap(w.buf) {
		size := max(need, min(2*cap(w.buf), most), firstBuffer)
		w.buf = append(make([]byte, 0, size), w.buf...)
	}
	w.buf = append(w.buf, p...)
}
