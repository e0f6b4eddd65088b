package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-stomp/stomp/v3/frame"
)

// ErrSilent means that the server promised heart-beats and then sent nothing
// for twice the negotiated interval (STOMP 1.2, "Heart-beating").
var ErrSilent = errors.New("client: no heart-beat from the server")

// ErrNotStomp is wrapped by the error of [Dial] if the answer to CONNECT is
// neither CONNECTED nor ERROR: the server speaks another protocol.
var ErrNotStomp = errors.New("client: the server does not speak STOMP")

// ErrorFrame is an ERROR from the server, which always ends the session (STOMP
// 1.2, "ERROR").
type ErrorFrame struct {
	// Message is the `message` header: one line for people.
	Message string
	// Body is the body, which may be empty or contain more detail.
	Body string
	// Header contains all headers, such as receipt-id.
	Header *frame.Header
	// Close is the close frame that followed over WebSocket. Its code says
	// whether connecting again can help. Nil if there was none, and over TCP.
	Close *CloseError
}

func (e *ErrorFrame) Error() string { return "client: server sent ERROR: " + e.text() }

func (e *ErrorFrame) text() string {
	if e.Message != "" {
		return e.Message
	}
	if line := firstLine(e.Body); line != "" {
		return line
	}
	return "no reason given"
}

// Unwrap returns Close, so that errors.As finds a [*CloseError].
func (e *ErrorFrame) Unwrap() error {
	if e.Close == nil {
		return nil
	}
	return e.Close
}

// RefusedError is the server's ERROR in answer to CONNECT.
type RefusedError struct{ ErrorFrame }

func (e *RefusedError) Error() string { return "client: server refused CONNECT: " + e.text() }

// CloseError is a WebSocket close frame from the server (RFC 6455 section 7.4).
type CloseError struct {
	// Code is the close code, 1005 for a close frame without one.
	Code int
	// Reason is the text of the close frame.
	Reason string
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("client: server closed the WebSocket with code %d", e.Code)
	}
	return fmt.Sprintf("client: server closed the WebSocket with code %d: %s", e.Code, e.Reason)
}

// HTTPError is an HTTP answer that refused the WebSocket handshake.
type HTTPError struct {
	// Status is the HTTP status: 401 for a missing or rejected credential, 403
	// for a refused origin, 429 and 503 if the server has no room at present.
	Status int
	// Body is the start of the answer, at most 1 KiB.
	Body string
	// Header contains the headers of the answer, such as Retry-After.
	Header http.Header
}

func (e *HTTPError) Error() string {
	text := fmt.Sprintf("client: server answered the WebSocket handshake with HTTP %d %s", e.Status, http.StatusText(e.Status))
	if line := firstLine(e.Body); line != "" {
		text += ": " + line
	}
	return text
}

// firstLine returns the start of a server's text, for an error of one line.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s[:min(len(s), 200)]), "\n")
	return strings.ToValidUTF8(strings.TrimSpace(line), "")
}
