package bench

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// conn is one STOMP client. Only one goroutine at a time may read from it; any
// may write.
type conn struct {
	net.Conn
	number    int
	webSocket bool
	buffers   *buffers
	headers   [][2]string // Config.Headers

	undecoded  []byte // an incomplete WebSocket frame, or STOMP frame
	unfinished []byte // of STOMP: a frame in several WebSocket frames
	seam       seam
	current    frame // the frame passed to the receiver
	refusal    *client.ErrorFrame
	thorough   bool          // see drain
	took       time.Duration // from dialling to CONNECTED

	writing sync.Mutex
	closing atomic.Bool // this side has closed, or is closing
	bytes   atomic.Int64
	reads   atomic.Int64
}

// receiver handles the frames that a connection receives. Its calls never
// overlap.
type receiver interface {
	// begin reports that bytes arrived, at now by the run's clock.
	begin(now int64)
	// frame is called for each frame in these bytes except ERROR. The contents
	// of f are valid only during the call.
	frame(f *frame)
	// end follows the last frame of these bytes. Reading continues if it
	// returns nil.
	end() error
}

// receiveSimply reads with the connection's own Read until it or the receiver
// fails.
func (c *conn) receiveSimply(clock clock, to receiver) error {
	b := c.buffers.get()
	defer c.buffers.put(b)
	for {
		n, err := c.Read((*b)[c.pending(*b):])
		if n > 0 {
			if e := c.take((*b)[:len(c.undecoded)+n], clock.now(), to); e != nil {
				return e
			}
		}
		if err != nil {
			return c.ended(err)
		}
	}
}

// pending copies the undecoded bytes to the beginning of a buffer.
func (c *conn) pending(b []byte) int {
	copy(b, c.undecoded)
	return len(c.undecoded)
}

// take passes the frames in p, which begins with the undecoded bytes, to a
// receiver and keeps the rest.
func (c *conn) take(p []byte, now int64, to receiver) error {
	c.reads.Store(c.reads.Load() + 1)
	c.bytes.Store(c.bytes.Load() + int64(len(p)-len(c.undecoded)))
	to.begin(now)
	n, err := c.decode(p, to)
	if e := to.end(); err == nil {
		err = e
	}
	if err == nil && len(p)-n >= c.buffers.size {
		err = fmt.Errorf("a frame from the server is over %d bytes", c.buffers.size)
	}
	if rest := p[n:]; len(rest) > 0 {
		c.undecoded = append(c.undecoded[:0], rest...)
	} else {
		c.undecoded = c.undecoded[:0]
	}
	return err
}

// decode returns how many bytes of p it used.
func (c *conn) decode(p []byte, to receiver) (int, error) {
	if !c.webSocket {
		return c.frames(p, to)
	}
	used := 0
	for {
		op, payload, n, err := nextMessage(p[used:])
		if n == 0 || err != nil {
			return used, err
		}
		used += n
		switch op {
		case ws.OpContinuation, ws.OpText, ws.OpBinary:
			if err := c.payload(payload, to); err != nil {
				return used, err
			}
		case ws.OpClose:
			return used, c.closed(closing(payload))
		case ws.OpPing:
			if err := c.write(appendMessage(nil, ws.OpPong, payload)); err != nil {
				return used, err
			}
		}
	}
}

// payload handles the content of one WebSocket frame, nearly always one whole
// STOMP frame.
func (c *conn) payload(p []byte, to receiver) error {
	whole := p
	if len(c.unfinished) == 0 {
		if c.seam.divide(p, &c.current) {
			to.frame(&c.current)
			return nil
		}
	} else {
		c.unfinished = append(c.unfinished, p...)
		whole = c.unfinished
	}
	n, err := c.frames(whole, to)
	if err != nil {
		return err
	}
	if n == len(whole) {
		c.seam.learn(whole, &c.current)
		c.unfinished = c.unfinished[:0]
	} else {
		c.unfinished = append(c.unfinished[:0], whole[n:]...)
	}
	if len(c.unfinished) > c.buffers.size {
		return fmt.Errorf("a frame from the server is over %d bytes", c.buffers.size)
	}
	return nil
}

// afterError is how long a server may take to close after an ERROR, as it must
// (STOMP 1.2, "ERROR"). The result shows the close code.
const afterError = time.Second

func (c *conn) frames(p []byte, to receiver) (int, error) {
	f := &c.current
	for used := 0; ; {
		n, ok, err := f.next(p[used:])
		used += n
		if !ok || err != nil {
			return used, err
		}
		if len(f.command) == 5 && string(f.command) == "ERROR" {
			if c.refusal == nil {
				c.refusal = &client.ErrorFrame{Message: f.text("message"), Body: string(f.body)}
				if err := c.SetReadDeadline(time.Now().Add(afterError)); err != nil {
					return used, c.refusal
				}
			}
			continue
		}
		to.frame(f)
	}
}

// ended returns why the connection ended: an ERROR if there was one, because it
// says more than err.
func (c *conn) ended(err error) error {
	if c.refusal != nil {
		return c.refusal
	}
	return err
}

// why returns the ERROR that the server sent before a write failed, if there
// was one, and otherwise err. Only the reading goroutine may call it.
func (c *conn) why(clock clock, err error) error {
	var failed *net.OpError
	if !errors.As(err, &failed) || failed.Op != "write" || c.closing.Load() {
		return err
	}
	if c.SetReadDeadline(time.Now().Add(afterError)) == nil {
		_ = c.receiveSimply(clock, silent{}) // the connection ends, and c.refusal has the reason
	}
	return c.ended(err)
}

func (c *conn) closed(by *client.CloseError) error {
	if c.refusal != nil {
		c.refusal.Close = by
	}
	return c.ended(by)
}

// wrap appends a STOMP frame or a heart-beat in this connection's form: over
// WebSocket each is a message.
func (c *conn) wrap(dst, frame []byte) []byte {
	if !c.webSocket {
		return append(dst, frame...)
	}
	return appendMessage(dst, ws.OpText, frame)
}

func (c *conn) write(p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.Write(p)
	return err
}

// send writes one frame.
func (c *conn) send(frame []byte) error { return c.write(c.wrap(nil, frame)) }

// subscribe sends SUBSCRIBE with id 0.
func (c *conn) subscribe(destination, ack string) error {
	b := []byte("SUBSCRIBE\nid:0\n")
	b = appendHeader(b, "destination", escape(destination))
	b = appendHeader(b, "ack", ack)
	return c.send(append(appendHeaders(b, c.headers), '\n', 0))
}

// leave sends DISCONNECT without waiting for an answer, and closes the
// connection.
func (c *conn) leave() {
	c.closing.Store(true)
	// The deadline is short, because the writer may be blocked by a full
	// socket.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	p := c.wrap(nil, []byte("DISCONNECT\n\n\x00"))
	if c.webSocket {
		p = appendMessage(p, ws.OpClose, []byte{1000 >> 8, 1000 & 0xff})
	}
	_ = c.write(p)
	c.close()
}

// close closes the connection without DISCONNECT.
func (c *conn) close() {
	c.closing.Store(true)
	_ = c.Conn.Close()
}

// buffers are shared by the connections of a run: a connection holds one only
// while it reads.
type buffers struct {
	size int
	pool sync.Pool
}

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, b.size)
	return &p
}

func (b *buffers) put(p *[]byte) { b.pool.Put(p) }
