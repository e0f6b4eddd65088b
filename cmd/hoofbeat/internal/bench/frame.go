package bench

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// frame is a received STOMP frame. Its headers are not decoded: the generator
// needs the body and, for some frames, one header.
type frame struct {
	command []byte
	headers []byte // the lines with their line ends
	body    []byte
}

var errFrame = errors.New("the server sent something that is not a STOMP frame")

var contentLength = []byte("content-length:")

// next finds the first frame in p, and skips heart-beats before it. n is the
// end of the frame or, if the frame is not complete yet (ok is false), its
// beginning.
func (f *frame) next(p []byte) (n int, ok bool, err error) {
	for n < len(p) && (p[n] == '\n' || p[n] == '\r') {
		n++
	}
	p = p[n:]
	at := bytes.IndexByte(p, '\n') + 1
	if at == 0 {
		return n, false, nil
	}
	f.command = withoutCR(p[:at-1])
	first, length := at, -1
	for {
		size := bytes.IndexByte(p[at:], '\n')
		if size < 0 {
			return n, false, nil
		}
		line := p[at : at+size]
		at += size + 1
		if size == 0 || size == 1 && line[0] == '\r' {
			f.headers = p[first : at-size-1]
			break
		}
		if line[0] == 'c' && length < 0 && bytes.HasPrefix(line, contentLength) {
			if length, err = readLength(line[len(contentLength):]); err != nil {
				return n, false, err
			}
		}
	}
	if length < 0 {
		if length = bytes.IndexByte(p[at:], 0); length < 0 {
			return n, false, nil
		}
	}
	end := at + length
	if end >= len(p) {
		return n, false, nil
	}
	if p[end] != 0 {
		return n, false, errFrame
	}
	f.body = p[at:end]
	return n + end + 1, true, nil
}

func withoutCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func readLength(digits []byte) (int, error) {
	n := 0
	for _, c := range withoutCR(digits) {
		if c < '0' || c > '9' || n > 1<<30 {
			return 0, errFrame
		}
		n = 10*n + int(c-'0')
	}
	return n, nil
}

// header returns the value of a header as it is on the wire, still escaped, or
// nil if there is none.
func (f *frame) header(name string) []byte {
	for rest := f.headers; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if len(line) > len(name) && line[len(name)] == ':' && string(line[:len(name)]) == name {
			return bytes.TrimSuffix(line[len(name)+1:], []byte{'\r'})
		}
	}
	return nil
}

// text returns a header for display: one line of at most 200 characters.
func (f *frame) text(name string) string { return oneLine(string(f.header(name))) }

func oneLine(s string) string {
	s = strings.NewReplacer(`\c`, ":", `\n`, " ", `\r`, "", `\\`, `\`).Replace(s)
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.ToValidUTF8(s[:min(len(s), 200)], "")
}

// appendHeader appends a header whose value needs no escape.
func appendHeader(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ':')
	b = append(b, value...)
	return append(b, '\n')
}

// command returns a whole frame without a body. headers are alternating names
// and values.
func command(name string, headers ...string) []byte {
	b := append([]byte(name), '\n')
	for i := 0; i < len(headers); i += 2 {
		b = appendHeader(b, headers[i], headers[i+1])
	}
	return append(b, '\n', 0)
}

func appendHeaders(b []byte, headers [][2]string) []byte {
	for _, h := range headers {
		b = appendHeader(b, escape(h[0]), escape(h[1]))
	}
	return b
}

// template is a SEND frame with a variable body.
type template struct {
	frame []byte
	body  []byte // the body's part of frame
}

func newTemplate(destination string, size int, headers [][2]string) *template {
	b := append([]byte("SEND\n"), "destination:"...)
	b = append(b, escape(destination)...)
	b = append(b, '\n')
	b = appendHeader(b, "content-length", strconv.Itoa(size))
	return finish(appendHeaders(b, headers), size)
}

// finish appends the end of the headers and a body to a command with headers.
func finish(head []byte, size int) *template {
	at := len(head) + 1
	b := append(head, '\n')
	b = append(b, make([]byte, stampSize)...)
	b = append(b, fillingOf(size)...)
	b = append(b, 0)
	return &template{frame: b, body: b[at : at+size]}
}

// escape escapes a header value according to STOMP 1.2.
func escape(value string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, ":", `\c`).Replace(value)
}
