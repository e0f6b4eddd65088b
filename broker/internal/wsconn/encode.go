package wsconn

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const final = 0x80 // first header byte: the frame is a whole message

// HeaderSize returns the length of the header that AppendHeader writes for a
// payload of this size: 2, 4 or 10.
func HeaderSize(payload int) int {
	return ws.HeaderSize(ws.Header{Length: int64(payload)})
}

// AppendHeader appends the header of a text or binary message in one frame.
// After it append payload bytes, unmasked. A text must be valid UTF-8.
func AppendHeader(dst []byte, binary bool, payload int) []byte {
	if binary {
		return appendHeader(dst, ws.OpBinary, payload)
	}
	return appendHeader(dst, ws.OpText, payload)
}

// AppendPing appends a ping frame. It cuts the payload, which the peer's pong
// repeats, to 125 bytes.
func AppendPing(dst, payload []byte) []byte { return appendControl(dst, ws.OpPing, payload) }

// AppendPong appends the answer to a ping with this payload.
func AppendPong(dst, payload []byte) []byte { return appendControl(dst, ws.OpPong, payload) }

// AppendClose appends a close frame. Write nothing after it. It cuts the reason
// to 123 bytes at a character boundary. Code 0 and the codes that are never
// sent (1005, 1006, 1015) give a frame without code and reason.
func AppendClose(dst []byte, code int, reason string) []byte {
	if c := ws.StatusCode(code); c.Empty() || c.IsProtocolReserved() {
		return appendHeader(dst, ws.OpClose, 0)
	}
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if n := ws.MaxControlFramePayloadSize - 2; len(reason) > n {
		for !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = appendHeader(dst, ws.OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

func appendControl(dst []byte, op ws.OpCode, payload []byte) []byte {
	payload = payload[:min(len(payload), ws.MaxControlFramePayloadSize)]
	return append(appendHeader(dst, op, len(payload)), payload...)
}

// appendHeader appends directly, without the library's Writer, which would
// allocate: every delivery uses this function.
func appendHeader(dst []byte, op ws.OpCode, payload int) []byte {
	dst = append(dst, final|byte(op))
	switch HeaderSize(payload) {
	case 2:
		return append(dst, byte(payload))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(payload))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(payload))
	}
}
