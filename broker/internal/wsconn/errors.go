package wsconn

import (
	"errors"
	"strconv"

	"github.com/gobwas/ws"
)

// CloseError reports that the peer closed the WebSocket with a close frame.
type CloseError struct {
	Code   int    // 1000 to 4999; 1005 if the frame had none
	Reason string // the peer's reason, valid UTF-8, at most 123 bytes
}

// Error is for logs. It quotes the reason, which the peer chose.
func (e *CloseError) Error() string {
	return "websocket closed by the peer: " + strconv.Itoa(e.Code) + " " + strconv.Quote(e.Reason)
}

// ProtocolError reports that the peer violated the WebSocket protocol or a
// limit.
type ProtocolError struct {
	Code   int    // close code for the answer: 1002, 1007 or 1009
	Reason string // one line that the peer may see
}

// Error returns the reason.
func (e *ProtocolError) Error() string { return "websocket: " + e.Reason }

var (
	errInvalidUTF8  = &ProtocolError{Code: int(ws.StatusInvalidFramePayloadData), Reason: "invalid UTF-8 in text"}
	errDeflate      = &ProtocolError{Code: int(ws.StatusInvalidFramePayloadData), Reason: "corrupted compressed data"}
	errClosePayload = &ProtocolError{Code: int(ws.StatusProtocolError), Reason: "close frame with a payload of one byte"}
	errCloseCode    = &ProtocolError{Code: int(ws.StatusProtocolError), Reason: "close code is out of range"}
)

// protocolError converts an error of the library, which is a constant text.
func protocolError(err error) *ProtocolError {
	reason := "malformed frame header"
	if p, ok := errors.AsType[ws.ProtocolError](err); ok {
		reason = string(p)
	}
	return &ProtocolError{Code: int(ws.StatusProtocolError), Reason: reason}
}
