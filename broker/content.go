package broker

import (
	"bytes"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/frames"
)

// NULMode selects the treatment of a message body that contains a NUL byte.
//
// STOMP allows NUL in a body with a content-length. But stompjs 2.3.3 and other
// browser libraries of its time ignore content-length, end a frame at the first
// NUL and read the rest of the body as further frames. A client that may send
// to a topic could therefore forge messages of any other destination in the
// pages of its subscribers.
type NULMode uint8

const (
	// NULReplace protects the clients that may misread a NUL: sessions of STOMP
	// 1.0 and 1.1 over WebSocket, SockJS or a [Transport] receive U+FFFD, the
	// replacement character, for each run of NULs. All others receive the body
	// unchanged: sessions of 1.2, TCP clients, and the program itself.
	NULReplace NULMode = iota
	// NULRefuse refuses every message with NUL in its body. The answer to such
	// a SEND is an ERROR, and Publish and the related methods return ErrNUL.
	// Use it if all messages are text: it also protects clients that speak 1.2
	// and end a frame at NUL, such as webstomp-client 1.2.
	NULRefuse
	// NULPass delivers every body unchanged to all subscribers.
	NULPass
)

// refusesBody reports whether the broker refuses this body from every sender.
func (b *Broker) refusesBody(body []byte) bool {
	return b.policy.Load().limits.NUL == NULRefuse && bytes.IndexByte(body, 0) >= 0
}

// content describes the bytes of a publication, as far as the wires need to
// know. It is determined once for all subscribers.
type content uint8

const (
	contentKnown    content = 1 << iota
	contentNUL              // the body has a NUL
	contentNotUTF8          // the body or a header is not UTF-8
	contentOrdinary = contentKnown
)

func (p *publication) contents() content {
	if p.content == 0 {
		p.content = p.examine()
	}
	return p.content
}

func (p *publication) examine() content {
	c := contentKnown
	if bytes.IndexByte(p.body, 0) >= 0 {
		c |= contentNUL
	}
	if !utf8.Valid(p.body) || !utf8.ValidString(p.id) || !utf8.ValidString(p.destination) {
		return c | contentNotUTF8
	}
	for i := range p.headers {
		if h := &p.headers[i]; !utf8.ValidString(h.Name) || !utf8.ValidString(h.Value) {
			return c | contentNotUTF8
		}
	}
	return c
}

// fit returns the publication in a form suitable for the session of sub: p
// itself, or a copy without the bytes that the transport cannot carry or that
// the client may misread.
func (p *publication) fit(f framing, sub *subscription) *publication {
	if f == framingStream || p.content == contentOrdinary {
		return p
	}
	return p.refit(f, sub)
}

func (p *publication) refit(f framing, sub *subscription) *publication {
	if p.contents() == contentOrdinary {
		return p
	}
	s := sub.s
	var unfit content
	if f == framingText {
		unfit |= p.content & contentNotUTF8
	}
	if s.version < frames.V12 && s.b.policy.Load().limits.NUL != NULPass {
		unfit |= p.content & contentNUL
	}
	if unfit == 0 {
		return p
	}
	return p.without(unfit)
}

// without returns a copy of p with replacement characters for the unfit bytes.
// The copy is made once for all subscribers that need it.
func (p *publication) without(unfit content) *publication {
	if p.cleaned == nil {
		p.cleaned = make(map[content]*publication)
	}
	c := p.cleaned[unfit]
	if c == nil {
		c = &publication{
			id: p.id, prefix: p.prefix, seq: p.seq, destination: p.destination,
			headers: p.headers, redelivered: p.redelivered,
			body:    replace(p.body, unfit),
			content: p.content &^ unfit,
		}
		if unfit&contentNotUTF8 != 0 {
			c.id = string(replace([]byte(p.id), contentNotUTF8))
			c.destination = string(replace([]byte(p.destination), contentNotUTF8))
			c.headers = make([]frames.Header, len(p.headers))
			for i, h := range p.headers {
				c.headers[i] = frames.Header{
					Name:  string(replace([]byte(h.Name), contentNotUTF8)),
					Value: string(replace([]byte(h.Value), contentNotUTF8)),
				}
			}
		}
		p.cleaned[unfit] = c
	}
	c.single = p.single
	return c
}

// replace returns p with U+FFFD for each run of unfit bytes. It replaces runs
// rather than single bytes so that p at most doubles in size.
func replace(p []byte, unfit content) []byte {
	out := make([]byte, 0, len(p)+utf8.UTFMax)
	run := false
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		bad := r == 0 && unfit&contentNUL != 0 || r == utf8.RuneError && n == 1 && unfit&contentNotUTF8 != 0
		if !bad {
			out = append(out, p[:n]...)
		} else if !run {
			out = utf8.AppendRune(out, utf8.RuneError)
		}
		run = bad
		p = p[n:]
	}
	return out
}

// printable returns text in a form allowed in a header and in the body of an
// ERROR: valid UTF-8 without control characters.
func printable(text string) string {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == 0x7f {
			return clean(text)
		}
	}
	return text
}

func clean(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range text { // yields U+FFFD for invalid UTF-8
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
