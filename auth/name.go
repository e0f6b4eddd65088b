package auth

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxNameBytes is the maximum length of a principal's name in bytes. It is
// ample for an e-mail address or an OpenID Connect subject (255), and keeps
// CONNECTED far below the smallest header limit.
const MaxNameBytes = 1024

// Errors of [ValidName]. Their texts are constant and may be shown to the
// client.
var (
	ErrNameBlank    = errors.New("the user name is blank")
	ErrNameTooLong  = errors.New("the user name is longer than 1024 bytes")
	ErrNameIllegal  = errors.New("the user name contains a CR, LF or NUL")
	ErrNameEncoding = errors.New("the user name is not valid UTF-8")
)

// ValidName returns nil if name is a valid name for a principal, and otherwise
// one of [ErrNameBlank], [ErrNameTooLong], [ErrNameIllegal] and
// [ErrNameEncoding].
//
// CONNECTED sends the name in its user-name header, which no STOMP version
// escapes, so a CR, LF or NUL in a name would inject a header or end the frame.
// A name of white space looks empty, and becomes empty where headers are
// trimmed.
func ValidName(name string) error {
	switch {
	case len(name) > MaxNameBytes:
		return ErrNameTooLong
	case strings.ContainsAny(name, "\r\n\x00"):
		return ErrNameIllegal
	case strings.TrimSpace(name) == "":
		return ErrNameBlank
	case !utf8.ValidString(name):
		return ErrNameEncoding
	}
	return nil
}
