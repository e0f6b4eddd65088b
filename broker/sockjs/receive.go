package sockjs

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A kind is one way to receive over HTTP.
type kind struct {
	name                 string // as sockjs-client names it
	method, contentType  string
	prelude              string // makes intermediate buffers pass on a streaming response
	before, after        string // written around each frame
	streaming, uriEscape bool
}

var (
	polling = kind{
		name:   "xhr-polling",
		method: http.MethodPost, contentType: "application/javascript; charset=UTF-8", after: "\n",
	}
	streaming = kind{
		name:   "xhr-streaming",
		method: http.MethodPost, contentType: "application/javascript; charset=UTF-8",
		prelude: strings.Repeat("h", 2048) + "\n", after: "\n", streaming: true,
	}
	// sockjs-client applies decodeURI to the data of an EventSource.
	eventSource = kind{
		name:   "eventsource",
		method: http.MethodGet, contentType: "text/event-stream",
		prelude: "\r\n", before: "data: ", after: "\r\n\r\n", streaming: true, uriEscape: true,
	}
)

// kindOf returns the kind for a transport name in the URL, or nil.
func kindOf(transport string) *kind {
	switch transport {
	case "xhr":
		return &polling
	case "xhr_streaming":
		return &streaming
	case "eventsource":
		return &eventSource
	}
	return nil
}

const (
	// maxIgnored is the limit in bytes of a request body that is read and
	// ignored. It must be read, or net/http does not notice that the client
	// disconnected.
	maxIgnored = 4 << 10
	// writeTimeout is how long a write to a client may block.
	writeTimeout = 10 * time.Second
)

// receive handles a request that receives. If its session does not exist,
// receive opens it.
func (h *Endpoint) receive(w http.ResponseWriter, r *http.Request, id string, k *kind) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxIgnored)); err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	var (
		s       *session
		woken   <-chan struct{}
		refusal []byte
		opening bool
	)
	if h.sessions.get(id) == nil {
		opening = true
		if s, woken = h.open(w, r, id, k); s == nil {
			return
		}
	} else {
		if s = h.find(w, r, id); s == nil {
			return
		}
		woken, refusal = s.attach()
	}
	allowOrigin(w, r)
	noStore(w)
	h.o.issue(w, r)
	w.Header().Set("Content-Type", k.contentType)
	w.Header().Set("X-Accel-Buffering", "no") // nginx would buffer until the end
	p := &response{w: w, rc: http.NewResponseController(w), k: k}
	defer p.end()
	if woken == nil {
		_ = p.begin(refusal) // does not end the session, which another request owns
		return
	}
	s.detach(p.run(r, s, woken, h.o, opening) != nil)
}

// response is the response to one receiving request.
type response struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	k     *kind
	sent  int
	wrote time.Time
}

// begin writes the prelude and, unless it is nil, a frame.
func (p *response) begin(frame []byte) error {
	p.wrote = time.Now()
	if p.k.prelude != "" {
		if err := p.put([]byte(p.k.prelude)); err != nil {
			return err
		}
	}
	if frame == nil {
		return p.flush()
	}
	return p.frame(frame)
}

// run writes frames until the response must end. An error means that the client
// may have missed a frame.
func (p *response) run(r *http.Request, s *session, woken <-chan struct{}, o Options, opening bool) error {
	var open []byte
	if opening {
		open = []byte("o")
	}
	if opening || p.k.streaming {
		if err := p.begin(open); err != nil {
			return err
		}
	}
	if opening && !p.k.streaming {
		return nil
	}
	p.wrote = time.Now()
	var timer *time.Timer
	for p.sent < o.ResponseLimit {
		wrote, last, err := p.next(s, o.ResponseLimit-p.sent)
		if err != nil || last || wrote && !p.k.streaming {
			return err
		}
		if wrote {
			continue
		}
		heard := s.lastHeard()
		wait := o.HeartBeat - time.Since(earlier(heard, p.wrote))
		if wait <= 0 {
			err := p.frame([]byte("h"))
			if err != nil || !p.k.streaming || time.Since(heard) >= o.HeartBeat {
				return err // the client shows that it is alive by its next request
			}
			continue
		}
		if timer == nil {
			timer = time.NewTimer(wait)
			defer timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-woken:
		case <-timer.C:
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// recycle returns a buffer to the pool, unless a huge frame has grown it.
func recycle(buf *[]byte) {
	if cap(*buf) <= 2*maxFrame {
		buffers.Put(buf)
	}
}

// next writes the session's next frame, if there is one.
func (p *response) next(s *session, room int) (wrote, last bool, err error) {
	buf := buffers.Get().(*[]byte)
	defer recycle(buf)
	frame, last := s.take((*buf)[:0], room)
	if len(frame) == 0 {
		return false, last, nil
	}
	if err := p.frame(frame); err != nil {
		return true, last, err
	}
	if !last {
		*buf = frame
		s.wrote()
	}
	return true, last, nil
}

func (p *response) frame(frame []byte) error {
	if p.k.uriEscape && bytes.IndexByte(frame, '%') >= 0 {
		frame = bytes.ReplaceAll(frame, []byte("%"), []byte("%25"))
	}
	for _, part := range [][]byte{[]byte(p.k.before), frame, []byte(p.k.after)} {
		if err := p.put(part); err != nil {
			return err
		}
		p.sent += len(part)
	}
	p.wrote = time.Now()
	return p.flush()
}

func (p *response) put(part []byte) error {
	_ = p.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every server supports deadlines
	_, err := p.w.Write(part)
	return err
}

// flush sends the written part of a streaming response. Other responses are
// sent as a whole.
func (p *response) flush() error {
	if !p.k.streaming {
		return nil
	}
	return p.rc.Flush()
}

// end clears the write deadline before the connection's next request.
func (p *response) end() { _ = p.rc.SetWriteDeadline(time.Time{}) }
