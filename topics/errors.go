package topics

// Error is what this package finds wrong with a destination, a pattern or a user name. Its text is constant,
// one line, and may be shown to any client. Compare with errors.Is and the constants below; errors.As with an
// Error tells a fault in the client's input from everything else.
type Error string

// Error returns the text.
func (e Error) Error() string { return string(e) }

// What [Parse] and [Compile] refuse.
const (
	// ErrPrefix: the destination lies outside the name space.
	ErrPrefix Error = "destination must begin with /topic/, /queue/, /app/ or /user/"
	// ErrEmpty: the destination ends with its prefix.
	ErrEmpty Error = "destination names nothing behind its prefix"
	// ErrControl: a control character would travel into other clients' headers and into logs.
	ErrControl Error = "destination contains a control character"
	// ErrEncoding: STOMP headers are UTF-8.
	ErrEncoding Error = "destination is not valid UTF-8"
	// ErrTooLong: more than MaxLength bytes.
	ErrTooLong Error = "destination is longer than 1024 bytes"
	// ErrTooDeep: more than MaxLevels separators.
	ErrTooDeep Error = "destination has more than 32 levels"
	// ErrMaskTooLong: more than MaxMasked characters in a segment of a pattern that uses ?.
	ErrMaskTooLong Error = "destination has a segment with ? of more than 63 characters"
	// ErrUserPath: nothing follows /user/{name} in the destination of a message.
	ErrUserPath Error = "a user destination must go on behind the name of the user, as /user/{name}/queue/x"
	// ErrUserEscape: a percent sign in the user's name that is neither %2F nor %25.
	ErrUserEscape Error = "user name may use the percent escapes %2F and %25 only"
)

// What [ValidUser] refuses, and [Parse] in the name behind /user/.
const (
	// ErrUserEmpty: the name has no characters.
	ErrUserEmpty Error = "user name is empty"
	// ErrUserControl: the name contains CR, LF, NUL or another control character.
	ErrUserControl Error = "user name contains a control character"
	// ErrUserEncoding: the name could not travel in a STOMP header.
	ErrUserEncoding Error = "user name is not valid UTF-8"
	// ErrUserTooLong: more than MaxUser bytes.
	ErrUserTooLong Error = "user name is longer than 255 bytes"
	// ErrUserReserved: /user/topic/x and /user/queue/x mean the session's own destinations.
	ErrUserReserved Error = "user name must be neither topic nor queue"
)

// The limits that bound what one destination can cost. They are far above what applications use, and low enough
// that the worst pattern against the worst destination takes a fraction of a millisecond.
const (
	// MaxLength is the greatest length of a destination or pattern, in bytes, as the client writes it.
	MaxLength = 1024
	// MaxLevels is the greatest number of separators in a destination or pattern.
	MaxLevels = 32
	// MaxPrefix is the greatest length of a prefix, in bytes.
	MaxPrefix = 64
	// MaxMasked is the greatest number of characters in a segment of a pattern that uses ?.
	MaxMasked = 63
	// MaxUser is the greatest length of a user name, in bytes, before escaping. OpenID Connect allows a
	// subject as many; a name of nothing but slashes still fits into a destination.
	MaxUser = 255
)
