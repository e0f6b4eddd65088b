package broker

import (
	"strconv"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// A publication is one message on its way to its subscribers. Their MESSAGE
// frames differ only in `subscription` (and in `ack` for the client modes), and
// clients number their subscriptions alike, so most subscribers share the same
// bytes, WebSocket header included: each distinct frame is encoded once.
type publication struct {
	id          string // message-id; if empty it is prefix followed by seq
	prefix      string
	seq         uint64
	destination string
	headers     []frames.Header // protocol headers may be among them: they are skipped
	body        []byte
	redelivered bool
	single      bool // one subscriber at most: nothing is worth keeping for the next

	content content                  // what contents found out
	cleaned map[content]*publication // copies for those who cannot take it as it is

	tails    [frames.V12 + 1][]byte // message-id, headers and body as encoded for a version
	deflated *deflatedTails         // the same compressed, once a subscriber wants it
	cache    []encoded
	msg      *Message // made when something has to keep it

	judged     []judgement        // by the first selectors that asked
	judgedMore map[*selector]bool // by further ones
}

// encoded is one distinct frame of a publication.
type encoded struct {
	framing framing
	version frames.Version
	id      string
	as      string
	seg     []byte
}

// maxEncoded bounds the cache: beyond it subscribers have ids of their own, and
// looking costs more than it saves.
const maxEncoded = 8

// reset forgets everything, so that nothing is kept alive by a pooled batch.
func (p *publication) reset() {
	cache, judged := p.cache, p.judged
	clear(cache)
	clear(judged)
	*p = publication{cache: cache[:0], judged: judged[:0]}
}

// frame returns the MESSAGE for sub, which has `ack:auto`.
func (p *publication) frame(f framing, v frames.Version, sub *subscription) []byte {
	p = p.fit(f, sub)
	for i := range p.cache {
		if e := &p.cache[i]; e.id == sub.id && e.framing == f && e.version == v && e.as == sub.as {
			if i > 0 { // the usual one is found first
				p.cache[0], p.cache[i] = p.cache[i], p.cache[0]
				return p.cache[0].seg
			}
			return e.seg
		}
	}
	seg := p.encode(f, v, sub, 0)
	if len(p.cache) < maxEncoded {
		p.cache = append(p.cache, encoded{f, v, sub.id, sub.as, seg})
	}
	return seg
}

// room is left in front of a frame for its WebSocket header.
const room = 10

// encode makes the MESSAGE for sub, which p is fit for. ack is the number of the
// delivery, 0 when the client need not acknowledge it.
func (p *publication) encode(f framing, v frames.Version, sub *subscription, ack uint64) []byte {
	if f == framingDeflate {
		if seg := p.encodeDeflated(v, sub, ack); seg != nil {
			return seg
		}
	}
	b := p.append(make([]byte, 0, p.size(sub)), v, sub, ack)
	return framed(terminated(b, f), f, f.webSocket() && p.binary(sub))
}

// append appends room and the MESSAGE for sub.
func (p *publication) append(b []byte, v frames.Version, sub *subscription, ack uint64) []byte {
	b = append(b, make([]byte, room)...)
	b = appendHead(b, v, sub, p.seenAs(sub), ack)
	switch t := p.tails[v]; {
	case t != nil:
		return append(b, t...)
	case p.single:
		return p.appendTail(b, v)
	default:
		start := len(b)
		b = p.appendTail(b, v)
		p.tails[v] = b[start:len(b):len(b)]
		return b
	}
}

// size is about what append appends, and rather more.
func (p *publication) size(sub *subscription) int {
	return room + 96 + len(sub.id) + len(p.seenAs(sub)) + p.tailSize()
}

// binary reports whether the MESSAGE for sub must be a binary message of
// WebSocket: it is not UTF-8.
func (p *publication) binary(sub *subscription) bool {
	return p.contents()&contentNotUTF8 != 0 || !utf8.ValidString(sub.id) || !utf8.ValidString(sub.as)
}

// terminated appends what follows the NUL of a frame: on a stream a line feed.
// RabbitMQ, ActiveMQ and Artemis write it, and there are clients that skip a byte
// after each NUL, such as PHP's stomp extension.
func terminated(b []byte, f framing) []byte {
	if f == framingStream {
		return append(b, '\n')
	}
	return b
}

// framed returns b, which begins with room, as it goes on the wire.
func framed(b []byte, f framing, binary bool) []byte {
	switch f {
	case framingStream, framingMessage, framingText:
		return b[room:]
	}
	return webSocketFrame(b, binary)
}

// appendHead appends what of a MESSAGE is the subscriber's own.
func appendHead(b []byte, v frames.Version, sub *subscription, destination string, ack uint64) []byte {
	b = append(b, "MESSAGE\n"...)
	if sub.id != "" || v != frames.V10 { // only there it may have none
		b = frames.AppendHeader(b, v, frames.HeaderSubscription, sub.id)
	}
	b = frames.AppendHeader(b, v, frames.HeaderDestination, destination)
	if ack != 0 {
		b = append(b, "ack:"...)
		b = appendAckID(b, sub.ordinal, ack)
		b = append(b, '\n')
	}
	return b
}

// seenAs returns the destination that the MESSAGE for sub carries.
func (p *publication) seenAs(sub *subscription) string {
	if sub.as != "" {
		return sub.as
	}
	return p.destination
}

// tailSize is about what appendTail appends, and rather more.
func (p *publication) tailSize() int {
	size := 64 + len(p.id) + len(p.prefix) + len(p.body)
	for i := range p.headers {
		size += len(p.headers[i].Name) + len(p.headers[i].Value) + 2
	}
	return size
}

// tail returns what all subscribers have in common, for those who want it alone.
func (p *publication) tail(v frames.Version) []byte {
	if p.tails[v] == nil {
		p.tails[v] = p.appendTail(make([]byte, 0, p.tailSize()), v)
	}
	return p.tails[v]
}

func (p *publication) appendTail(b []byte, v frames.Version) []byte {
	if p.id != "" {
		b = frames.AppendHeader(b, v, frames.HeaderMessageID, p.id)
	} else {
		b = append(b, "message-id:"...)
		b = append(b, p.prefix...)
		b = strconv.AppendUint(b, p.seq, 10)
		b = append(b, '\n')
	}
	if p.redelivered {
		b = append(b, "redelivered:true\n"...)
	}
	for i := range p.headers {
		if h := &p.headers[i]; !Reserved(h.Name) {
			b = frames.AppendHeader(b, v, h.Name, h.Value)
		}
	}
	b = append(b, "content-length:"...)
	b = strconv.AppendInt(b, int64(len(p.body)), 10)
	b = append(b, "\n\n"...)
	b = append(b, p.body...)
	return append(b, 0)
}

// webSocketFrame puts a WebSocket header in front of b[room:] and returns both.
func webSocketFrame(b []byte, binary bool) []byte {
	payload := b[room:]
	n := wsconn.HeaderSize(len(payload))
	wsconn.AppendHeader(b[room-n:room-n:room], binary, len(payload))
	return b[room-n:]
}

// encodeFrame makes a frame that goes to one session: CONNECTED, RECEIPT, ERROR.
func encodeFrame(f framing, v frames.Version, fr *frames.Frame) []byte {
	b := frames.Append(make([]byte, room, 128), v, fr)
	return framed(terminated(b, f), f, !utf8.Valid(b[room:]))
}

// message returns the publication as something that may be kept.
func (p *publication) message() *Message {
	if p.msg == nil {
		p.msg = keepMessage(p)
	}
	return p.msg
}

// set makes p the publication of a message that a program owns.
func (p *publication) set(m *Message, destination string) {
	p.id, p.destination, p.headers, p.body, p.redelivered = m.ID, destination, m.Headers, m.Body, m.Redelivered
}

// heartBeats are the bytes of a heart-beat in each framing.
var heartBeats = [...][]byte{
	framingStream:    {'\n'},
	framingMessage:   {'\n'},
	framingText:      {'\n'},
	framingWebSocket: {0x81, 1, '\n'},
	framingDeflate:   {0x81, 1, '\n'},
}

// appendAckID writes the `ack` header of a delivery: which subscription of the
// session, and which of its deliveries.
func appendAckID(b []byte, ordinal uint32, n uint64) []byte {
	b = strconv.AppendUint(b, uint64(ordinal), 10)
	b = append(b, '-')
	return strconv.AppendUint(b, n, 10)
}
