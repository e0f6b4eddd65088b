package sockjs

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

var errJSON = errors.New("not a JSON array of strings")

// A decoder reads the arrays of strings that clients send, and joins the
// strings: STOMP ignores message boundaries. Clients cut long frames between
// UTF-16 units, so a string may end with the first half of a surrogate pair,
// and the next string, even in a later request, begin with the second.
type decoder struct{ high rune } // pending high surrogate, 0 = none

// decode appends the text of a JSON array of strings to dst. On an error the
// decoder is unchanged.
func (d *decoder) decode(dst, body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, errJSON
	}
	p := parser{rest: body, out: dst, high: d.high}
	if err := p.array(); err != nil {
		return nil, err
	}
	d.high = p.high
	return p.out, nil
}

type parser struct {
	rest, out []byte
	high      rune
}

// next skips white space and then consumes c. It reports false if another byte
// follows.
func (p *parser) next(c byte) bool {
	p.rest = bytes.TrimLeft(p.rest, " \t\r\n")
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) array() error {
	if !p.next('[') {
		return errJSON
	}
	for first := true; !p.next(']'); first = false {
		if !first && !p.next(',') || !p.next('"') {
			return errJSON
		}
		if err := p.text(); err != nil {
			return err
		}
	}
	if len(bytes.TrimLeft(p.rest, " \t\r\n")) > 0 {
		return errJSON
	}
	return nil
}

// text parses a string after its opening quote.
func (p *parser) text() error {
	for {
		n := 0
		for n < len(p.rest) && p.rest[n] != '"' && p.rest[n] != '\\' {
			if p.rest[n] < ' ' {
				return errJSON
			}
			n++
		}
		if n == len(p.rest) {
			return errJSON
		}
		if n > 0 {
			p.half()
			p.out = append(p.out, p.rest[:n]...)
		}
		end := p.rest[n] == '"'
		p.rest = p.rest[n+1:]
		if end {
			return nil
		}
		if err := p.escape(); err != nil {
			return err
		}
	}
}

// half writes U+FFFD for a high surrogate whose low one did not follow.
func (p *parser) half() {
	if p.high != 0 {
		p.out, p.high = utf8.AppendRune(p.out, utf8.RuneError), 0
	}
}

// escape parses an escape sequence after its backslash.
func (p *parser) escape() error {
	if len(p.rest) == 0 {
		return errJSON
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return p.unit()
	default:
		return errJSON
	}
	p.half()
	p.out = append(p.out, c)
	return nil
}

// unit parses the four digits of a \u escape.
func (p *parser) unit() error {
	if len(p.rest) < 4 {
		return errJSON
	}
	v, err := strconv.ParseUint(string(p.rest[:4]), 16, 16)
	if err != nil {
		return errJSON
	}
	p.rest = p.rest[4:]
	r := rune(v)
	if whole := utf16.DecodeRune(p.high, r); p.high != 0 && whole != utf8.RuneError {
		p.out, p.high = utf8.AppendRune(p.out, whole), 0
		return nil
	}
	p.half()
	if r >= 0xd800 && r < 0xdc00 {
		p.high = r
		return nil
	}
	p.out = utf8.AppendRune(p.out, r) // a low surrogate without a high one becomes U+FFFD
	return nil
}

// errNotText ends a session that would have to carry a binary message. It
// should not occur: the broker sends only text to a transport that is TextOnly.
var errNotText = &broker.Error{Reason: broker.ReasonInvalidText, Message: "a message for you is not UTF-8, which SockJS cannot carry; use a WebSocket"}
