package app

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// headerTimeout is how long a client may take for the TLS handshake, and
	// then for the header of a request.
	headerTimeout = 5 * time.Second
	// maxHeaderLines is the maximum number of header lines of a request, Host
	// excluded. Each line takes some 90 bytes in addition to its text.
	maxHeaderLines = 200
	// refusalTimeout is how long a client may take to accept the answer to a
	// header that is refused before it is complete.
	refusalTimeout = time.Second
)

// arrivals is the listener of an HTTP server. Its connections report incomplete
// headers to the crowd, which bounds their number, and refuse headers of too
// many lines. Headers need no more than one Read, except for large or slow
// ones, and only those cost anything.
type arrivals struct {
	net.Listener
	key    string // configuration key
	crowd  *crowd
	away   *turnedAway
	errors *stdlog.Logger // of the server
}

func (l *arrivals) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if t, ok := c.(*tls.Conn); ok {
		return &secureArrival{arrival: arrival{Conn: c, l: l}, tls: t}, nil
	}
	return &arrival{Conn: c, l: l}, nil
}

// serve refuses requests with too many header lines that were read at once.
func (l *arrivals) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := 0
		for _, values := range r.Header {
			lines += len(values)
		}
		if lines > maxHeaderLines {
			l.refuse(r.RemoteAddr)
			w.Header().Set("Connection", "close")
			http.Error(w, tooManyLines, http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		h.ServeHTTP(w, r)
	})
}

var tooManyLines = fmt.Sprintf("The request has more than %d header lines.", maxHeaderLines)

func (l *arrivals) refuse(remote string) {
	l.away.say(slog.LevelWarn, "an HTTP request was refused: too many header lines", addressOf(remote), l.key,
		"listener", l.key, "most", maxHeaderLines)
}

// arrival is a connection of an HTTP server, until a handler takes it over.
type arrival struct {
	net.Conn
	l     *arrivals
	guest *guest // set by the crowd; nil if it did not admit the connection

	// serving is set from the beginning of the handler until the server waits
	// for the next request. The rest is only used while it is not set, by the
	// goroutine of the server.
	serving atomic.Bool
	later   bool // it is not the first request
	begun   bool // bytes of a header were read
	lines   int  // number of line feeds among them
}

// Read recognises an incomplete header by the server's wish to read more of it.
func (c *arrival) Read(p []byte) (int, error) {
	// The server reads one byte to notice the end of a connection while it
	// begins to serve a request.
	if len(p) == 1 || c.serving.Load() {
		return c.Conn.Read(p)
	}
	if c.begun {
		if err := c.incomplete(); err != nil {
			// The server does not answer after this kind of error.
			return 0, &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
		}
	}
	n, err := c.Conn.Read(p)
	c.begun = c.begun || n > 0
	c.lines += bytes.Count(p[:n], []byte{'\n'})
	return n, err
}

// incomplete returns an error if the server must not read more of a header.
func (c *arrival) incomplete() error {
	if err := c.l.crowd.incomplete(c.guest); err != nil {
		return err
	}
	const uncounted = 2 // the request line and Host
	if c.lines <= maxHeaderLines+uncounted {
		return nil
	}
	c.l.refuse(c.RemoteAddr().String())
	_ = c.Conn.SetWriteDeadline(time.Now().Add(refusalTimeout)) // an error here is one of the next line, too
	_, _ = fmt.Fprintf(c.Conn, "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n\r\n%s\n", len(tooManyLines)+1, tooManyLines) // the client may be gone
	return errors.New(tooManyLines)
}

// CloseWrite lets the server send an answer to a request that it does not read
// to the end.
func (c *arrival) CloseWrite() error {
	if w, ok := withoutWrappers(c.Conn).(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetReadDeadline recognises a request whose first bytes the server has read
// together with the previous request. The server then sets the deadline of a
// header without a Read; while it waits for a request, it has a later deadline.
// The lines of these bytes are not counted. They are at most the 4 KiB of the
// server's buffer.
func (c *arrival) SetReadDeadline(t time.Time) error {
	if !c.serving.Load() && c.later && !t.IsZero() && time.Until(t) <= headerTimeout {
		c.begun = true
	}
	return c.Conn.SetReadDeadline(t)
}

// wait prepares for the header of the next request.
func (c *arrival) wait() {
	c.later, c.begun, c.lines = true, false, 0
	c.serving.Store(false)
}

// arrived returns the arrival of a connection of an HTTP server, or nil.
func arrived(conn net.Conn) *arrival {
	switch c := conn.(type) {
	case *arrival:
		return c
	case *secureArrival:
		return &c.arrival
	}
	return nil
}

// secureArrival is an arrival over TLS.
type secureArrival struct {
	arrival
	tls *tls.Conn
}

// ConnectionState is called by the server before it reads a request, for
// [http.Request.TLS]. The server does not know that this is a TLS connection, so
// this method also performs the handshake.
func (c *secureArrival) ConnectionState() tls.ConnectionState {
	c.handshake()
	return c.tls.ConnectionState()
}

func (c *secureArrival) handshake() {
	err := c.tls.SetDeadline(time.Now().Add(headerTimeout))
	if err == nil {
		err = c.tls.Handshake()
	}
	if err == nil {
		err = c.tls.SetDeadline(time.Time{})
	}
	if err == nil {
		return
	}
	why := err.Error() // every Read returns an error from now on, so the server closes the connection
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		_, _ = io.WriteString(record.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") // the client may be gone
		_ = record.Conn.Close()
		why = "client sent an HTTP request to an HTTPS server"
	}
	c.l.errors.Printf("%s%s: %s", handshakeError, c.RemoteAddr(), why)
}

func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// withoutWrappers returns the connection as the listener of the configuration
// or TLS has accepted it.
func withoutWrappers(conn net.Conn) net.Conn {
	for {
		switch c := conn.(type) {
		case *arrival:
			conn = c.Conn
		case *secureArrival:
			conn = c.Conn
		case *sniffed:
			conn = c.Conn
		default:
			return conn
		}
	}
}
