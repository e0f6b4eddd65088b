package sockjs

import (
	"strconv"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendString appends p, which must be valid UTF-8, as a JSON string. NUL,
// which ends every STOMP frame, becomes \u0000. It also escapes characters that
// some browsers lose or change, as Spring does (AbstractSockJsMessageCodec):
// U+200C–200F, U+2028–202F, U+2060–206F, U+FFF0–FFFF.
func appendString(dst, p []byte) []byte {
	dst = append(dst, '"')
	start := 0
	for i, c := range p {
		if c >= ' ' && c != '"' && c != '\\' && c != 0xe2 && c != 0xef {
			continue
		}
		if c >= utf8.RuneSelf && !fragile(p[i:]) {
			continue
		}
		dst = append(dst, p[start:i]...)
		start = i + 1
		switch c {
		case 0xe2, 0xef:
			r, n := utf8.DecodeRune(p[i:])
			start = i + n
			dst = append(dst, '\\', 'u', hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
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

// fragile reports whether the first character of p must be escaped. The first
// byte of p is 0xe2 or 0xef.
func fragile(p []byte) bool {
	r, _ := utf8.DecodeRune(p)
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x2028 && r <= 0x202f, r >= 0x2060 && r <= 0x206f, r >= 0xfff0 && r <= 0xffff:
		return true
	}
	return false
}

// appendMessages appends an array frame of messages and returns how many it
// took: at least one, and more while the frame stays within limit bytes. It
// skips messages that are not UTF-8, which count as taken; valid is false if
// there were any.
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

// closeFrame returns c[code,"reason"]. A normal end uses SockJS's own code
// 3000.
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
