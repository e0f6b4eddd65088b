package client

import (
	"bytes"
	"strconv"
)

var contentLength = []byte("content-length:")

// frameEnd returns the length of the first frame in p, in the form that
// go-stomp writes (line feeds only; a heart-beat is one line feed), or 0 if p
// contains only part of it.
func frameEnd(p []byte) int {
	if len(p) > 0 && p[0] == '\n' {
		return 1
	}
	head := bytes.Index(p, []byte("\n\n"))
	if head < 0 {
		return 0
	}
	body := head + 2
	if n, ok := bodyLength(p[:head+1]); ok {
		if end := body + n + 1; end <= len(p) {
			return end
		}
		return 0
	}
	// Without content-length the body ends at the first NUL.
	nul := bytes.IndexByte(p[body:], 0)
	if nul < 0 {
		return 0
	}
	return body + nul + 1
}

// bodyLength returns the content-length in the lines of head. The first one
// counts (STOMP 1.2, "Repeated Header Entries").
func bodyLength(head []byte) (int, bool) {
	for line := range bytes.Lines(head) {
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}
