package frames

import (
	"strconv"
	"strings"
)

// Append appends f, encoded for version v, and returns the extended slice. It
// allocates only to grow dst. Lines end with a line feed.
//
//   - It omits a header that v cannot express: one whose name or value contains
//     NUL; in 1.1, also one with a carriage return; in 1.0 and before
//     negotiation, one with any end of line, or with a colon in its name. It
//     never writes such a header in part.
//   - It never escapes CONNECT, STOMP and CONNECTED ("Value Encoding"); see
//     [AppendRawHeader].
//   - It adds the correct content-length to SEND, MESSAGE and ERROR, even for
//     an empty body. Other frames get neither a content-length nor a body. It
//     ignores a content-length in f.Headers.
//
// For an unknown command it appends nothing.
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

// AppendHeader appends one header line encoded for version v, or nothing if v
// cannot express it; see [Append]. Use it to build frames from parts that many
// receivers share.
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

// AppendRawHeader appends one header line without escape sequences, as used in
// all frames of 1.0 and in CONNECT, STOMP and CONNECTED of every version. It
// appends nothing if the result would not be exactly this one header line: if
// the name is empty or contains a colon, or if either string contains a
// carriage return, line feed or NUL.
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

// AppendBody appends the rest of a SEND, MESSAGE or ERROR: content-length,
// blank line, body, NUL.
func AppendBody(dst, body []byte) []byte {
	dst = append(dst, HeaderContentLength+":"...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\n\n"...)
	dst = append(dst, body...)
	return append(dst, 0)
}
