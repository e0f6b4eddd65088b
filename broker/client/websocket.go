package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// wsTransport is STOMP over WebSocket. It reads all messages as one stream,
// because message boundaries do not match frame boundaries.
type wsTransport struct {
	conn    *websocket.Conn
	message io.Reader // current message, nil between messages

	// Close holds closing while it runs. goodbye is the close frame if Close
	// itself read it, because no Read was running.
	closing sync.Mutex
	goodbye *CloseError
}

func dialWebSocket(ctx context.Context, e endpoint, o Options) (transport, error) {
	opts := &websocket.DialOptions{HTTPHeader: o.Header, Subprotocols: subprotocols(o)}
	// Each handshake has its own transport, so that a refused one leaves no
	// idle connection behind, and HTTP/2, which has no Upgrade, is never
	// negotiated.
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout,
		DisableKeepAlives:   true,
	}
	if o.TLS != nil {
		t.TLSClientConfig = o.TLS.Clone()
		t.TLSClientConfig.NextProtos = nil
	}
	opts.HTTPClient = &http.Client{Transport: t}
	conn, response, err := websocket.Dial(ctx, e.url, opts)
	if err != nil {
		if response == nil || response.StatusCode == http.StatusSwitchingProtocols {
			return nil, err
		}
		body, readErr := io.ReadAll(response.Body) // at most 1 KiB, already in memory
		if readErr != nil {
			body = nil
		}
		return nil, &HTTPError{Status: response.StatusCode, Body: string(body), Header: response.Header}
	}
	limit := o.ReadLimit
	if limit <= 0 {
		limit = -1
	}
	conn.SetReadLimit(limit)
	return &wsTransport{conn: conn}, nil
}

// subprotocols returns the registered sub-protocols of the versions, highest
// first. Servers pick the first or the highest that they know.
func subprotocols(o Options) []string {
	var names []string
	for _, v := range o.Versions {
		names = append(names, "v"+v.String()[:1]+v.String()[2:]+".stomp")
	}
	slices.Sort(names)
	slices.Reverse(names)
	return slices.Compact(names)
}

func (t *wsTransport) Read(p []byte) (int, error) {
	// With a context that never ends, coder/websocket needs no watcher per
	// call. abort also unblocks a read.
	ctx := context.Background()
	for {
		if t.message == nil {
			_, r, err := t.conn.Reader(ctx)
			if err != nil {
				return 0, t.readError(err)
			}
			t.message = r
		}
		n, err := t.message.Read(p)
		if errors.Is(err, io.EOF) {
			t.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		if err != nil {
			err = t.readError(err)
		}
		return n, err
	}
}

// readError returns the close frame that caused a failed read. If Close is
// running, it waits for Close, which may have read that frame.
func (t *wsTransport) readError(err error) error {
	if ce, ok := closeError(err); ok {
		return ce
	}
	t.closing.Lock()
	defer t.closing.Unlock()
	if t.goodbye != nil {
		return t.goodbye
	}
	return err
}

func closeError(err error) (*CloseError, bool) {
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		return nil, false
	}
	return &CloseError{Code: int(ce.Code), Reason: ce.Reason}, true
}

func (t *wsTransport) writeFrame(p []byte) error {
	kind := websocket.MessageText
	if !utf8.Valid(p) {
		kind = websocket.MessageBinary
	}
	return t.conn.Write(context.Background(), kind, p)
}

func (t *wsTransport) Close() error {
	t.closing.Lock()
	defer t.closing.Unlock()
	err := t.conn.Close(websocket.StatusNormalClosure, "")
	if ce, ok := closeError(err); ok {
		t.goodbye = ce
		return nil
	}
	return err
}

func (t *wsTransport) abort() { _ = t.conn.CloseNow() }
