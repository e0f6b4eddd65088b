package bench

import "bytes"

// seam is the end of the headers of a connection's last MESSAGE. The next
// MESSAGE in its own WebSocket frame nearly always has the same body length in
// its last header. It can then be split with one comparison instead of line by
// line, which is the most expensive part of reading a message. If a faulty
// server hides something before the seam, the message is missing where it is
// counted.
type seam struct {
	text []byte // "\ncontent-length:128\n\n"
	body int
}

var messageLine = []byte("MESSAGE\n")

// divide parses p as a whole MESSAGE, if it is like the last one.
func (s *seam) divide(p []byte, f *frame) bool {
	last := len(p) - 1
	at := last - s.body
	head := at - len(s.text)
	if len(s.text) == 0 || head < len(messageLine) || p[last] != 0 ||
		!bytes.HasPrefix(p, messageLine) || !bytes.Equal(p[head:at], s.text) ||
		bytes.IndexByte(p[:head], 0) >= 0 { // the end of an earlier frame
		return false
	}
	f.command, f.headers, f.body = p[:len(messageLine)-1], p[len(messageLine):at-1], p[at:last]
	return true
}

// learn stores the seam of a frame that fills p.
func (s *seam) learn(p []byte, f *frame) {
	s.text = s.text[:0]
	end := len(p) - len(f.body) - 1
	if !bytes.HasPrefix(p, messageLine) || end < 3 || p[end-2] != '\n' {
		return
	}
	line := bytes.LastIndexByte(p[:end-2], '\n')
	if line >= 0 && bytes.HasPrefix(p[line+1:], contentLength) {
		s.text, s.body = append(s.text, p[line:end]...), len(f.body)
	}
}
