package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// Conn is a connected STOMP session: a go-stomp connection that also records
// why it ended. Its methods are safe for concurrent use.
type Conn struct {
	*stomp.Conn

	session *session
	header  *frame.Header
}

// Header returns the headers of CONNECTED, such as user-name, as the server
// sent them.
func (c *Conn) Header() *frame.Header { return c.header.Clone() }

// Done returns a channel that is closed when the connection has ended,
// whichever side ended it.
func (c *Conn) Done() <-chan struct{} { return c.session.done }

// Err returns why the connection ended. It is nil before the end, and if this
// side closed the connection. It is an [*ErrorFrame] if the server sent ERROR,
// including the close code that followed; a [*CloseError] if the server closed
// the WebSocket without an ERROR; [ErrSilent] if its heart-beats stopped;
// otherwise a network error. The errors of go-stomp's calls after the end say
// less.
func (c *Conn) Err() error {
	select {
	case <-c.session.done:
		return c.session.err
	default:
		return nil
	}
}

// disconnectGrace is how long Disconnect waits for go-stomp after the
// connection has ended (the RECEIPT may be in transit to it), and vice versa.
const disconnectGrace = time.Second

// Disconnect sends DISCONNECT, waits for its RECEIPT, which confirms that the
// server has processed everything before it, and closes. If the connection has
// ended, or ends meanwhile, it soon returns the reason; go-stomp's own
// Disconnect would wait for a receipt that cannot come, and return nil after an
// ERROR. Continue to read all subscriptions until Disconnect returns.
func (c *Conn) Disconnect() error {
	done := c.Done()
	select {
	case <-done:
		c.session.transport.abort()
		return c.Err()
	default:
	}
	said := make(chan error, 1)
	go func() { said <- c.Conn.Disconnect() }()
	result := (<-chan error)(said)
	var late <-chan time.Time
	for result != nil || done != nil {
		select {
		case err := <-result:
			if c.session.failed.Load() == nil && (err != nil || c.session.left()) {
				return err
			}
			result = nil // go-stomp returns nil if an ERROR came first
		case <-done:
			done = nil
			if c.session.failed.Load() != nil {
				result = nil // nothing more can arrive
			}
		case <-late:
			result, done = nil, nil
		}
		if late == nil {
			late = time.After(disconnectGrace)
		}
	}
	c.session.transport.abort()
	if err := c.Err(); err != nil {
		return err
	}
	if e := c.session.failed.Load(); e != nil {
		return e
	}
	return stomp.ErrClosedUnexpectedly
}

// MustDisconnect closes without DISCONNECT. If another call is waiting for a
// receipt, MustDisconnect waits for that call; see [Conn.Abort].
func (c *Conn) MustDisconnect() error {
	c.session.leave()
	return c.Conn.MustDisconnect()
}

// Abort closes the connection at once, without DISCONNECT, and unblocks every
// call that waits for the server. Unlike MustDisconnect it never waits for
// another call.
func (c *Conn) Abort() {
	c.session.leave()
	c.session.shut()
	c.session.transport.abort()
}

// Dial connects to the STOMP server at rawURL:
//
//	ws://host[:port]/path   wss://…             WebSocket, ports 80 and 443
//	tcp://host[:port]       stomp://…           TCP, port 61613
//	tcps://host[:port]      stomp+ssl://…       TLS, port 61614
//
// ctx limits the connection attempt, the WebSocket handshake and CONNECT. It
// has no effect after Dial returns. The error is [ErrOptions] before any
// connection attempt, [*HTTPError] if the server refused the handshake,
// [*RefusedError] if it answered CONNECT with ERROR, [*CloseError] if it
// answered with only a close frame, [ErrNotStomp] if the answer was not STOMP,
// the context's error, or a network error. No error contains the URL's query or
// a credential.
//
// End the connection with Disconnect, which waits until the server has
// processed everything, or with Abort.
func Dial(ctx context.Context, rawURL string, o Options) (*Conn, error) {
	e, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if o, err = o.withDefaults(e.host); err != nil {
		return nil, err
	}
	dial := dialTCP
	if e.webSocket {
		dial = dialWebSocket
	}
	t, err := dial(ctx, e, o)
	if err != nil {
		return nil, hint(e, dialError(ctx, err))
	}
	conn, err := connect(ctx, t, o)
	if err != nil {
		t.abort()
		return nil, hint(e, dialError(ctx, err))
	}
	return conn, nil
}

// connect performs the STOMP handshake on t and passes the session to go-stomp.
func connect(ctx context.Context, t transport, o Options) (*Conn, error) {
	stop := context.AfterFunc(ctx, t.abort)
	defer stop()

	s := newSession(t)
	if err := t.writeFrame(connectFrame(o)); err != nil {
		return nil, err
	}
	answer, err := readAnswer(s.in)
	if err != nil {
		return nil, err
	}
	if answer.Command == frame.ERROR {
		return nil, refused(s, answer)
	}
	version, err := checkConnected(answer, o)
	if err != nil {
		return nil, err
	}
	write, read, err := negotiate(o, answer.Header.Get(frame.HeartBeat))
	if err != nil {
		return nil, err
	}

	// go-stomp gets a CONNECTED without heart-beats, because the session
	// handles them.
	var replay bytes.Buffer
	connected := frame.New(frame.CONNECTED, frame.Version, string(version), frame.HeartBeat, "0,0",
		frame.Session, answer.Header.Get(frame.Session), frame.Server, answer.Header.Get(frame.Server))
	if err := frame.NewWriter(&replay).Write(connected); err != nil {
		return nil, err
	}
	s.replay.Reset(replay.Bytes())
	s.startHeartBeats(write, read)

	options := slices.Concat(
		[]func(*stomp.Conn) error{stomp.ConnOpt.Logger(logger{o.Logger})},
		o.Stomp,
		[]func(*stomp.Conn) error{stomp.ConnOpt.Login("", ""), stomp.ConnOpt.HeartBeat(0, 0), stomp.ConnOpt.Host("-")},
	)
	c, err := stomp.Connect(s, options...)
	if err != nil {
		return nil, err
	}
	if !stop() {
		_ = c.MustDisconnect() // ctx.Err is the reason
		return nil, ctx.Err()
	}
	return &Conn{Conn: c, session: s, header: answer.Header}, nil
}

// lingerForClose is how long a refused connection waits for the close frame
// after the ERROR.
const lingerForClose = time.Second

// refused converts an ERROR into a RefusedError, with the close code if one
// arrives.
func refused(s *session, f *frame.Frame) error {
	e := &RefusedError{*newErrorFrame(f)}
	timer := time.AfterFunc(lingerForClose, s.transport.abort)
	defer timer.Stop()
	for {
		// Only line ends should follow the ERROR.
		if _, err := s.in.Discard(1); err != nil {
			errors.As(err, &e.Close)
			return e
		}
	}
}

// dialError returns the cause of a failure: the context's error if that ended
// first. It removes the URL, which net/http includes with its query, because
// the query may contain a ticket.
func dialError(ctx context.Context, err error) error {
	var answer *RefusedError
	var request *url.Error
	switch {
	case errors.As(err, &answer):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("client: dial: %w", context.Cause(ctx))
	case errors.As(err, &request):
		return fmt.Errorf("client: dial: %w", request.Err)
	case errors.Is(err, io.EOF):
		return errEOF
	default:
		return err
	}
}
