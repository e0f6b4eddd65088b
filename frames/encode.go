package frames

import (
	"strconv"
	"strings"
)

// Append appends f as version v writes it, and returns the extended slice; it allocates only to grow dst. Lines end with a
// line feed.
//
//   - A header that v cannot express is left out, never written in part and never injected: a name or value with NUL, in
//     1.1 one with a carriage return, in 1.0 and before negotiation one with any end of line or with a colon in its name.
//   - CONNECT, STOMP and CONNECTED are never escaped ("Value Encoding"); see [AppendRawHeader].
//   - SEND, MESSAGE and ERROR get a content-length that is right, also for an empty body; other frames get neither a
//     content-length nor a body. A content-length in f.Headers is ignored.
//
// An unknown command appends nothing.
func Append(dst []byte, v Version, f *Frame) []byte {
	if !isCommand(f.Command) {
		return dst
	}
	if isRaw(f.Command) {
		v = Unnegotiated
	}
	dst = append(dst, f.Command...)
	dst = append(dst, '\n')
	for i := range f.Headers {
		if h := &f.Headers[i]; h.Name != HeaderContentLength {
			dst = AppendHeader(dst, v, h.Name, h.Value)
		}
	}
	if !hasBody(f.Command) {
		return append(dst, '\n', 0)
	}
	return AppendBody(dst, f.Body)
}

// AppendHeader appends one header line as version v writes it, or nothing if v cannot express it; see [Append]. It is for
// who puts frames together from parts that many receivers share.
func AppendHeader(dst []byte, v Version, name, value string) []byte {
	if v < V11 {
		return AppendRawHeader(dst, name, value)
	}
	if name == "" {
		return dst
	}
	line, ok := appendEscaped(dst, v, name)
	if !ok {
		return dst
	}
	line, ok = appendEscaped(append(line, ':'), v, value)
	if !ok {
		return dst
	}
	return append(line, '\n')
}

// AppendRawHeader appends one header line without escape sequences, as 1.0 writes all frames and every version writes
// CONNECT, STOMP and CONNECTED. It appends nothing if that would not be one header line with just this name and value: if
// the name is empty or has a colon in it, or if there is a carriage return, line feed or NUL in either.
func AppendRawHeader(dst []byte, name, value string) []byte {
	if name == "" || strings.IndexByte(name, ':') >= 0 || !isOneLine(name) || !isOneLine(value) {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, ':')
	dst = append(dst, value...)
	return append(dst, '\n')
}

func isOneLine(s string) bool {
	return strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, 0) < 0
}

// AppendBody ends a SEND, MESSAGE or ERROR: content-length, blank line, body, NUL.
func AppendBody(dst, body []byte) []byte {
	dst = append(dst, HeaderContentLength+":"...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\n\n"...)
	dst = append(dst, body...)
	return append(dst, 0)
}
