package bench

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// WebSocket framing (RFC 6455 section 5), limited to a client that sends whole
// frames and reads batches.

var errWire = errors.New("the server sent something that is not a WebSocket frame")

// appendMessage appends a masked frame.
func appendMessage(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	dst = append(dst, mask[:]...)
	at := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[at:], mask, 0)
	return dst
}

// nextMessage finds the first WebSocket frame in p; n is 0 if it is not
// complete yet.
func nextMessage(p []byte) (op ws.OpCode, payload []byte, n int, err error) {
	if len(p) < 2 {
		return 0, nil, 0, nil
	}
	// There are no extensions, and a server does not mask.
	if p[0]&0x70 != 0 || p[1]&0x80 != 0 {
		return 0, nil, 0, errWire
	}
	head, length := 2, uint64(p[1])
	switch length {
	case 126:
		if len(p) < 4 {
			return 0, nil, 0, nil
		}
		head, length = 4, uint64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		if len(p) < 10 {
			return 0, nil, 0, nil
		}
		head, length = 10, binary.BigEndian.Uint64(p[2:])
	}
	if uint64(len(p)-head) < length {
		return 0, nil, 0, nil
	}
	n = head + int(length)
	return ws.OpCode(p[0] & 0x0f), p[head:n], n, nil
}

// closing parses the payload of a close frame.
func closing(payload []byte) *client.CloseError {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) < 2 {
		code = ws.StatusNoStatusRcvd
	}
	return &client.CloseError{Code: int(code), Reason: oneLine(reason)}
}
