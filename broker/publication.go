package broker

import (
	"strconv"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// A publication is one message being delivered to its subscribers. Their
// MESSAGE frames differ only in `subscription` (and in `ack` for the client
// modes). Clients number their subscriptions alike, so most subscribers share
// the same bytes, including the WebSocket header: each distinct frame is
// encoded once.
type publication struct {
	id          string // message-id; if empty it is prefix followed by seq
	prefix      string
	seq         uint64
	destination string
	headers     []frames.Header // may include protocol headers, which are skipped
	body        []byte
	redelivered bool
	single      bool // at most one subscriber: caching is useless

	content content                  // result of contents
	cleaned map[content]*publication // adapted copies for subscribers that cannot receive the original

	tails    [frames.V12 + 1][]byte // message-id, headers and body as encoded for a version
	deflated *deflatedTails         // the compressed tails, made for the first subscriber that needs them
	cache    []encoded
	msg      *Message // made on first use, for code that keeps the message

	judged     []judgement        // verdicts of the first selectors
	judgedMore map[*selector]bool // verdicts of further selectors
}

// encoded is one distinct frame of a publication.
type encoded struct {
	framing framing
	version frames.Version
	id      string
	as      string
	seg     []byte
}

// serves reports whether sub gets this frame. Clients number their
// subscriptions, so ids of equal length mostly differ in the last byte: it is
// compared before the rest.
func (e *encoded) serves(f framing, v frames.Version, sub *subscription) bool {
	n := len(sub.id)
	return len(e.id) == n && (n == 0 || e.id[n-1] == sub.id[n-1]) &&
		e.framing == f && e.version == v && e.id == sub.id && e.as == sub.as
}

// maxEncoded bounds the cache. If there are more distinct frames, subscribers
// have ids of their own, and a lookup costs more than it saves.
const maxEncoded = 8

// reset clears all fields, so that a pooled batch keeps nothing alive.
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
		if e := &p.cache[i]; e.serves(f, v, sub) {
			return e.seg
		}
	}
	seg := p.encode(f, v, sub, 0)
	if len(p.cache) < maxEncoded {
		p.cache = append(p.cache, encoded{f, v, sub.id, sub.as, seg})
	}
	return seg
}

// room is the space reserved in front of a frame for its WebSocket header.
const room = 10

// encode makes the MESSAGE for sub. p must fit sub. ack is the number of the
// delivery, or 0 if the client need not acknowledge it.
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

// size estimates, generously, the number of bytes that append adds.
func (p *publication) size(sub *subscription) int {
	return room + 96 + len(sub.id) + len(p.seenAs(sub)) + p.tailSize()
}

// binary reports whether the MESSAGE for sub must be a binary WebSocket message
// because it is not UTF-8.
func (p *publication) binary(sub *subscription) bool {
	return p.contents()&contentNotUTF8 != 0 || !utf8.ValidString(sub.id) || !utf8.ValidString(sub.as)
}

// terminated appends the bytes that follow the NUL of a frame: a line feed on a
// stream. RabbitMQ, ActiveMQ and Artemis write it, and some clients, such as
// PHP's stomp extension, skip a byte after each NUL.
func terminated(b []byte, f framing) []byte {
	if f == framingStream {
		return append(b, '\n')
	}
	return b
}

// framed returns the bytes to write for b, which begins with room.
func framed(b []byte, f framing, binary bool) []byte {
	switch f {
	case framingStream, framingMessage, framingText:
		return b[room:]
	}
	return webSocketFrame(b, binary)
}

// appendHead appends the part of a MESSAGE that is specific to the subscriber.
func appendHead(b []byte, v frames.Version, sub *subscription, destination string, ack uint64) []byte {
	b = append(b, "MESSAGE\n"...)
	if sub.id != "" || v != frames.V10 { // only STOMP 1.0 allows a subscription without an id
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

// tailSize estimates, generously, the number of bytes that appendTail adds.
func (p *publication) tailSize() int {
	size := 64 + len(p.id) + len(p.prefix) + len(p.body)
	for i := range p.headers {
		size += len(p.headers[i].Name) + len(p.headers[i].Value) + 2
	}
	return size
}

// tail returns the part of the MESSAGE that all subscribers share, without the
// head.
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

// message returns the publication as a Message that may be kept.
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

// appendAckID appends the value of the `ack` header of a delivery: the ordinal
// of the subscription in its session, and the number of the delivery.
func appendAckID(b []byte, ordinal uint32, n uint64) []byte {
	b = strconv.AppendUint(b, uint64(ordinal), 10)
	b = append(b, '-')
	return strconv.AppendUint(b, n, 10)
}
