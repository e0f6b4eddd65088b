package broker

import (
	"bytes"
	"unicode/utf8"
)

// NULMode selects the treatment of a message body that contains a NUL byte.
//
// STOMP allows NUL in a body with a content-length. But stompjs 2.3.3 and other
// browser libraries of its time ignore content-length, end a frame at the first
// NUL and read the rest of the body as further frames. A client that may send
// to a topic could therefore forge messages of any other destination in the
// pages of its subscribers.
type NULMode uint8

const (
	// NULReplace protects the clients that may misread a NUL: sessions of STOMP
	// 1.0 and 1.1 over WebSocket, SockJS or a [Transport] receive U+FFFD, the
	// replacement character, for each run of NULs. All others receive the body
	// unchanged: sessions of 1.2, TCP clients, and the program itself.
	NULReplace NULMode = iota
	// NULRefuse refuses every message with NUL in its body. The answer to such
	// a SEND is an ERROR, and Publish and the related methods return ErrNUL.
	// Use it if all messages are text: it also protects clients that speak 1.2
	// and end a frame at NUL, such as webstomp-client 1.2.
	NULRefuse
	// NULPass delivers every body unchanged to all subscribers.
	NULPass
)

// refusesBody reports whether the broker refuses this body from every sender.
func (b *Broker) refusesBody(body []byte) bool {
	return b.policy.Load().limits.NUL == NULRefuse && bytes.IndexByte(body, 0) >= 0
}

// printable returns text in a form allowed in a header and in the body of an
// ERROR: valid UTF-8 without control characters.
func printable(text string) string {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == 0x7f {
			return clean(text)
		}
	}
	return text
}

func clean(text string) string {
	out := make([]rune, 0, len(text))
	for _, r := range text { // yields U+FFFD for invalid UTF-8
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
