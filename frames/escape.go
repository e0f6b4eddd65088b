package frames

import "strings"

// special marks the bytes that must be escaped in a header of 1.1 or 1.2.
// Escaping looks up each byte here: searching for each of the five in turn
// would take quadratic time for a value of colons.
var special = [256]bool{0: true, '\n': true, '\r': true, ':': true, '\\': true}

// appendEscaped appends s with the escape sequences of 1.1 or 1.2. If v has
// none for a byte of s (NUL, and in 1.1 a carriage return), it returns false
// and dst contains part of s.
func appendEscaped(dst []byte, v Version, s string) ([]byte, bool) {
	plain := 0
	for i := range len(s) {
		if !special[s[i]] {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		switch {
		case s[i] == '\n':
			dst = append(dst, `\n`...)
		case s[i] == ':':
			dst = append(dst, `\c`...)
		case s[i] == '\\':
			dst = append(dst, `\\`...)
		case s[i] == '\r' && v == V12:
			dst = append(dst, `\r`...)
		default:
			return dst, false
		}
	}
	return append(dst, s[plain:]...), true
}

// unescape resolves the escape sequences of 1.1 or 1.2. It returns false for a
// sequence that v does not define, which both specifications call a fatal
// error. It allocates only if there is a sequence to resolve.
func unescape(v Version, s string) (string, bool) {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s)-1)
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		if i+1 == len(s) {
			return "", false
		}
		b = append(b, s[:i]...)
		switch c := s[i+1]; {
		case c == 'n':
			b = append(b, '\n')
		case c == 'c':
			b = append(b, ':')
		case c == '\\':
			b = append(b, '\\')
		case c == 'r' && v == V12:
			b = append(b, '\r')
		default:
			return "", false
		}
		s = s[i+2:]
	}
	return string(append(b, s...)), true
}
