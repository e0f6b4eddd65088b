package sockjs

import (
	"strconv"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendString appends p, which is valid UTF-8, as a JSON string. NUL, which
// ends every STOMP frame, becomes \u0000.
func appendString(dst, p []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i, c := range p {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, p[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, p[start:]...), '"')
}

// appendMessages appends an array frame of messages, at least one and more as
// long as the frame has room below limit, and returns how many it took. Messages
// that are not UTF-8 are taken and left out; valid says whether there was none.
func appendMessages(dst []byte, messages [][]byte, limit int) (_ []byte, taken int, valid bool) {
	from := len(dst)
	dst, valid = append(dst, 'a', '['), true
	empty := true
	for _, m := range messages {
		if !empty && len(dst)-from+len(m) > limit {
			break
		}
		taken++
		if !utf8.Valid(m) {
			valid = false
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		dst = appendString(dst, m)
		empty = false
	}
	if empty {
		return dst[:from], taken, valid
	}
	return append(dst, ']'), taken, valid
}

// closeFrame returns c[code,"reason"]. A normal end is SockJS's own.
func closeFrame(code int, reason string) []byte {
	switch code {
	case 1000, 1005:
		code, reason = 3000, "Go away!"
	case 1006:
		code, reason = 1002, "Connection interrupted"
	}
	frame := strconv.AppendInt([]byte("c["), int64(code), 10)
	return append(appendString(append(frame, ','), []byte(reason)), ']')
}
