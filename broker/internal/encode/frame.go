package encode

import (
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Framing is the format of a STOMP frame on the wire. Frames are encoded once
// for each framing, and shared.
type Framing uint8

// The framings. Those with a WebSocket header come last.
const (
	FramingStream    Framing = iota // bytes of STOMP, one frame after another
	FramingMessage                  // each frame is a separate message of a Transport
	FramingText                     // the same, for a Transport that carries only UTF-8
	FramingWebSocket                // each frame follows a WebSocket header
	FramingDeflate                  // the same, with MESSAGE frames compressed where it pays
)

// webSocket reports whether frames have WebSocket headers.
func (f Framing) webSocket() bool { return f >= FramingWebSocket }

// headroom is the space reserved in front of a frame for its WebSocket header.
const headroom = 10

// Frame makes a frame that goes to one session: CONNECTED, ERROR.
func Frame(f Framing, v frames.Version, fr *frames.Frame) []byte {
	b := frames.Append(make([]byte, headroom, 128), v, fr)
	return framed(terminated(b, f), f, !utf8.Valid(b[headroom:]))
}

// Receipt makes the RECEIPT with a receipt-id and further headers, which are
// encoded and UTF-8.
func Receipt(f Framing, v frames.Version, id, headers string) []byte {
	b := append(make([]byte, headroom, headroom+25+len(id)+len(headers)), "RECEIPT\n"...)
	b = frames.AppendHeader(b, v, frames.HeaderReceiptID, id)
	b = append(b, headers...)
	b = append(b, '\n', 0)
	return framed(terminated(b, f), f, !utf8.ValidString(id))
}

// heartBeats are the bytes of a heart-beat in each framing.
var heartBeats = [...][]byte{
	FramingStream:    {'\n'},
	FramingMessage:   {'\n'},
	FramingText:      {'\n'},
	FramingWebSocket: {0x81, 1, '\n'},
	FramingDeflate:   {0x81, 1, '\n'},
}

// HeartBeat returns the bytes of a heart-beat, which must not be modified.
func HeartBeat(f Framing) []byte { return heartBeats[f] }

// terminated appends the bytes that follow the NUL of a frame: a line feed on a
// stream. RabbitMQ, ActiveMQ and Artemis write it, and some clients, such as
// PHP's stomp extension, skip a byte after each NUL.
func terminated(b []byte, f Framing) []byte {
	if f == FramingStream {
		return append(b, '\n')
	}
	return b
}

// framed returns the bytes to write for b, which begins with headroom.
func framed(b []byte, f Framing, binary bool) []byte {
	switch f {
	case FramingStream, FramingMessage, FramingText:
		return b[headroom:]
	}
	return webSocketFrame(b, binary)
}

// webSocketFrame puts a WebSocket header in front of b[headroom:] and returns
// both.
func webSocketFrame(b []byte, binary bool) []byte {
	payload := b[headroom:]
	n := wsconn.HeaderSize(len(payload))
	wsconn.AppendHeader(b[headroom-n:headroom-n:headroom], binary, len(payload))
	return b[headroom-n:]
}
