package topics

// Error describes what is wrong with a destination, a pattern or a user name.
// Its text is one constant line that any client may see. Compare it with the
// constants below by errors.Is. Use errors.As to tell a fault in the client's
// input from other errors.
type Error string

// Error returns the text.
func (e Error) Error() string { return string(e) }

// Errors of [Parse] and [Compile].
const (
	// ErrPrefix means that no prefix matches the destination.
	ErrPrefix Error = "destination must begin with /topic/, /queue/, /app/ or /user/"
	// ErrEmpty means that nothing follows the prefix.
	ErrEmpty Error = "destination names nothing behind its prefix"
	// ErrTempQueue means that a message is addressed to /temp-queue, which is
	// the requester's own name for the destination of its answers.
	ErrTempQueue Error = "messages cannot be sent to /temp-queue/: answer to the reply-to header of the request"
	// ErrReplyQueue means that a SUBSCRIBE names the destination of answers as
	// only a sender does.
	ErrReplyQueue Error = "/reply-queue/ cannot be subscribed to: answers go to the session that sent the request"
	// ErrControl means that there is a control character, which would reach
	// other clients' headers and the logs.
	ErrControl Error = "destination contains a control character"
	// ErrEncoding means that the destination is not UTF-8, which STOMP headers
	// must be.
	ErrEncoding Error = "destination is not valid UTF-8"
	// ErrTooLong means that there are more than MaxLength bytes.
	ErrTooLong Error = "destination is longer than 1024 bytes"
	// ErrTooDeep means that there are more than MaxLevels separators.
	ErrTooDeep Error = "destination has more than 32 levels"
	// ErrMaskTooLong means that a pattern segment with a ? has more than
	// MaxMasked characters.
	ErrMaskTooLong Error = "destination has a segment with ? of more than 63 characters"
	// ErrUserPath means that nothing follows /user/{name} in the destination of
	// a message.
	ErrUserPath Error = "a user destination must go on behind the name of the user, as /user/{name}/queue/x"
	// ErrUserEscape means that the user name has a percent sign that belongs
	// neither to %2F nor to %25.
	ErrUserEscape Error = "user name may use the percent escapes %2F and %25 only"
)

// Errors of [ValidUser], and of [Parse] for the name after /user/.
const (
	// ErrUserEmpty means that the name is empty.
	ErrUserEmpty Error = "user name is empty"
	// ErrUserControl means that the name contains CR, LF, NUL or another
	// control character.
	ErrUserControl Error = "user name contains a control character"
	// ErrUserEncoding means that the name is not UTF-8, so no STOMP header
	// could carry it.
	ErrUserEncoding Error = "user name is not valid UTF-8"
	// ErrUserTooLong means that the name has more than MaxUser bytes.
	ErrUserTooLong Error = "user name is longer than 255 bytes"
	// ErrUserReserved means that the name is reserved: /user/topic/x and
	// /user/queue/x are the session's own destinations.
	ErrUserReserved Error = "user name must be neither topic nor queue"
)

// Limits on the cost of one destination. They are far above what applications
// need, and low enough that the worst pattern against the worst destination
// takes a fraction of a millisecond.
const (
	// MaxLength is the maximum length of a destination or pattern, in bytes, as
	// the client writes it.
	MaxLength = 1024
	// MaxLevels is the maximum number of separators in a destination or
	// pattern.
	MaxLevels = 32
	// MaxPrefix is the maximum length of a prefix, in bytes.
	MaxPrefix = 64
	// MaxMasked is the maximum number of characters in a pattern segment that
	// contains a ?.
	MaxMasked = 63
	// MaxUser is the maximum length of a user name, in bytes, before escaping.
	// OpenID Connect allows the same length for a subject, and a name of
	// slashes alone still fits into a destination.
	MaxUser = 255
)
