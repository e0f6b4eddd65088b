package encode

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reserved reports whether a header belongs to the protocol: no MESSAGE
// forwards the value from its sender (STOMP 1.2, "SEND": all other user-defined
// headers must be carried through).
//
// White space around a name is ignored: most browser libraries trim the names
// of received headers, so they treat " subscription" as the protocol header.
func Reserved(name string) bool {
	name = Trimmed(name)
	switch name {
	case "destination", "content-length", "message-id", "subscription", "ack", "id",
		"receipt", "receipt-id", "transaction", "redelivered", "recovered", "heart-beat",
		"login", "passcode", "ticket", "authorization", "Authorization":
		return true
	case "simpOrigDestination":
		// Behind Spring's broker relay this header tells a client the user
		// destination that it subscribed to, and tells another node the user
		// that a message is for. The broker itself never reads it.
		return false
	}
	return len(name) >= 4 && strings.EqualFold(name[:4], "simp")
}

// Trimmed returns the name of a header as most browser libraries read it.
func Trimmed(name string) string {
	if name != "" && (mayBeSpace(name[0]) || mayBeSpace(name[len(name)-1])) {
		return strings.TrimFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
	}
	return name
}

// mayBeSpace reports whether a character that begins or ends with c may be one
// that JavaScript's \s matches.
func mayBeSpace(c byte) bool { return c <= ' ' || c >= utf8.RuneSelf }
