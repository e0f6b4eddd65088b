package encode

import (
	"bytes"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/frames"
)

// content describes the bytes of a message, as far as the wires need to know.
// It is determined once for all subscribers.
type content uint8

const (
	contentKnown    content = 1 << iota
	contentNUL              // the body has a NUL
	contentNotUTF8          // the body or a header is not UTF-8
	contentOrdinary = contentKnown
)

func (m *Message) contents() content {
	if m.content == 0 {
		m.content = m.examine()
	}
	return m.content
}

func (m *Message) examine() content {
	c := contentKnown
	if bytes.IndexByte(m.Body, 0) >= 0 {
		c |= contentNUL
	}
	if !utf8.Valid(m.Body) || !utf8.ValidString(m.ID) || !utf8.ValidString(m.Destination) {
		return c | contentNotUTF8
	}
	for i := range m.Headers {
		if h := &m.Headers[i]; !utf8.ValidString(h.Name) || !utf8.ValidString(h.Value) {
			return c | contentNotUTF8
		}
	}
	return c
}

// Fits reports whether m is known to be suitable for every client with this
// framing. If not, Fit decides.
func (m *Message) Fits(f Framing) bool { return f == FramingStream || m.content == contentOrdinary }

// Fit returns the message in a form suitable for a client: m itself, or a copy
// without the bytes that the framing cannot carry or, with replaceNUL, without
// NUL in the body, which the client may misread.
func (m *Message) Fit(f Framing, replaceNUL bool) *Message {
	if f == FramingStream || m.contents() == contentOrdinary {
		return m
	}
	var unfit content
	if f == FramingText {
		unfit |= m.content & contentNotUTF8
	}
	if replaceNUL {
		unfit |= m.content & contentNUL
	}
	if unfit == 0 {
		return m
	}
	return m.without(unfit)
}

// without returns a copy of m with replacement characters for the unfit bytes.
// The copy is made once for all subscribers that need it.
func (m *Message) without(unfit content) *Message {
	if m.cleaned == nil {
		m.cleaned = make(map[content]*Message)
	}
	c := m.cleaned[unfit]
	if c == nil {
		c = &Message{
			ID: m.ID, Prefix: m.Prefix, Seq: m.Seq, Destination: m.Destination,
			Headers: m.Headers, Redelivered: m.Redelivered,
			Offset:  m.Offset,
			Body:    replace(m.Body, unfit),
			content: m.content &^ unfit,
		}
		if unfit&contentNotUTF8 != 0 {
			c.ID = string(replace([]byte(m.ID), contentNotUTF8))
			c.Destination = string(replace([]byte(m.Destination), contentNotUTF8))
			c.Headers = make([]frames.Header, len(m.Headers))
			for i, h := range m.Headers {
				c.Headers[i] = frames.Header{
					Name:  string(replace([]byte(h.Name), contentNotUTF8)),
					Value: string(replace([]byte(h.Value), contentNotUTF8)),
				}
			}
		}
		m.cleaned[unfit] = c
	}
	c.Single = m.Single
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
