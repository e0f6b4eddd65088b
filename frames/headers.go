package frames

import (
	"math"
	"strings"
)

// hugeLength replaces every larger content-length. It is larger than any frame,
// and small enough to add to without overflow.
const hugeLength = math.MaxInt / 2

// parseHeaders parses a header block (lines with their ends, without the blank
// line) into the frame and returns its content-length, -1 if there is none. All
// names and values share one string; only those with escape sequences need
// another.
func (w *workspace) parseHeaders(octets []byte, v Version) (length int, err error) {
	block := string(octets)
	f := &w.frame
	returns := strings.IndexByte(block, '\r') >= 0
	escapes := v >= V11 && !isRaw(f.Command) && strings.IndexByte(block, '\\') >= 0
	for block != "" {
		eol := strings.IndexByte(block, '\n')
		line := block[:eol]
		block = block[eol+1:]
		if returns {
			line = strings.TrimSuffix(line, "\r")
			if strings.IndexByte(line, '\r') >= 0 {
				return 0, errReturn
			}
		}
		colon := strings.IndexByte(line, ':')
		if colon < 0 {
			return 0, errColon
		}
		if colon == 0 {
			return 0, errName
		}
		h := Header{line[:colon], line[colon+1:]}
		if escapes {
			var okName, okValue bool
			h.Name, okName = unescape(v, h.Name)
			h.Value, okValue = unescape(v, h.Value)
			if !okName || !okValue {
				return 0, errEscape
			}
		}
		f.Headers = append(f.Headers, h)
	}
	if is10(f, v) {
		for i := range f.Headers {
			f.Headers[i].Value = trim(f.Headers[i].Value)
		}
	}
	return contentLength(f)
}

// trim removes the blanks around a 1.0 value.
func trim(s string) string { return strings.Trim(s, " \t") }

// is10 reports whether f is a 1.0 frame, in which blanks around values are
// ignored ("login: user"), as in ActiveMQ. The negotiated version decides;
// before negotiation, a CONNECT without accept-version counts as 1.0.
func is10(f *Frame, v Version) bool {
	if v != Unnegotiated || f.Command != CommandConnect {
		return v == V10
	}
	_, asks := f.Lookup(HeaderAcceptVersion)
	return !asks
}

// contentLength returns the content-length of f, -1 if there is none.
func contentLength(f *Frame) (int, error) {
	value, ok := f.Lookup(HeaderContentLength)
	if !ok {
		return -1, nil
	}
	n, ok := parseNumber(value, hugeLength)
	if !ok {
		return 0, errContentLength
	}
	return int(n), nil
}
