package frames

import (
	"errors"
	"strings"
)

// Version is a STOMP version. It decides how headers are escaped.
type Version uint8

const (
	// Unnegotiated is the state before CONNECTED: nothing is escaped or
	// unescaped. A CONNECT without accept-version is read as 1.0.
	Unnegotiated Version = iota
	// V10 is STOMP 1.0: no escape sequences, and blanks around header values
	// are ignored.
	V10
	// V11 is STOMP 1.1, with the escape sequences \n, \c and \\.
	V11
	// V12 is STOMP 1.2, which adds the escape sequence \r.
	V12
)

// SupportedVersions lists the versions that [NegotiateVersion] knows, as in the
// version header of the ERROR frame for a client without a common version
// (STOMP 1.2, "Protocol Negotiation").
const SupportedVersions = "1.0,1.1,1.2"

// ErrNoCommonVersion is the error of [NegotiateVersion]. Its text may be sent
// to the client.
var ErrNoCommonVersion = errors.New("no common protocol version, supported are " + SupportedVersions)

// String returns "1.0", "1.1" or "1.2", and "" for Unnegotiated.
func (v Version) String() string {
	switch v {
	case V10:
		return "1.0"
	case V11:
		return "1.1"
	case V12:
		return "1.2"
	}
	return ""
}

// NegotiateVersion returns the highest version that both sides support. accept
// is the accept-version header of a CONNECT, with items in any order and spaces
// around them. A client without that header (present is false) speaks 1.0. If
// there is no common version, it returns [ErrNoCommonVersion].
func NegotiateVersion(accept string, present bool) (Version, error) {
	if !present {
		return V10, nil
	}
	best := Unnegotiated
	for item := range strings.SplitSeq(accept, ",") {
		item = strings.TrimSpace(item)
		for v := V12; v > best; v-- {
			if item == v.String() {
				best = v
			}
		}
	}
	if best == Unnegotiated {
		return Unnegotiated, ErrNoCommonVersion
	}
	return best, nil
}
