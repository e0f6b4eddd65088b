package wsconn

import (
	"errors"
	"strconv"

	"github.com/gobwas/ws"
)

// CloseError says that the peer closed the WebSocket with a close frame.
type CloseError struct {
	Code   int    // 1000 to 4999; 1005 when the frame had none
	Reason string // the peer's words, valid UTF-8, at most 123 bytes
}

// Error is for logs: the reason is quoted, since the peer chose it.
func (e *CloseError) Error() string {
	return "websocket closed by the peer: " + strconv.Itoa(e.Code) + " " + strconv.Quote(e.Reason)
}

// ProtocolError says that the peer broke the WebSocket protocol or a limit.
type ProtocolError struct {
	Code   int    // close code to answer with: 1002, 1007 or 1009
	Reason string // one line, fit to be sent to the peer
}

// Error returns the reason.
func (e *ProtocolError) Error() string { return "websocket: " + e.Reason }

var (
	errInvalidUTF8  = &ProtocolError{Code: int(ws.StatusInvalidFramePayloadData), Reason: "invalid UTF-8 in text"}
	errDeflate      = &ProtocolError{Code: int(ws.StatusInvalidFramePayloadData), Reason: "corrupted compressed data"}
	errClosePayload = &ProtocolError{Code: int(ws.StatusProtocolError), Reason: "close frame with a payload of one byte"}
	errCloseCode    = &ProtocolError{Code: int(ws.StatusProtocolError), Reason: "close code is out of range"}
)

// protocolError turns the library's verdict, a constant text, into ours.
func protocolError(err error) *ProtocolError {
	reason := "malformed frame header"
	if p, ok := errors.AsType[ws.ProtocolError](err); ok {
		reason = string(p)
	}
	return &ProtocolError{Code: int(ws.StatusProtocolError), Reason: reason}
}
