package frames

import "sync"

// workspace is what a Decoder needs only while it has work: thousands of idle connections share a few.
type workspace struct {
	frame Frame
	buf   []byte // the bytes of an unfinished frame
}

// The first sizes of a workspace, and the largest that go back to the pool.
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

// clear lets go of everything the last frame refers to.
func (w *workspace) clear() {
	clear(w.frame.Headers)
	w.frame = Frame{Headers: w.frame.Headers[:0]}
}

// free puts w back into the pool.
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

// append adds p to buf. The buffer doubles, but not beyond most: what a content-length promises is not allocated before it
// comes.
func (w *workspace) append(p []byte, most int) {
	if need := len(w.buf) + len(p); need > cap(w.buf) {
		size := max(need, min(2*cap(w.buf), most), firstBuffer)
		w.buf = append(make([]byte, 0, size), w.buf...)
	}
	w.buf = append(w.buf, p...)
}
