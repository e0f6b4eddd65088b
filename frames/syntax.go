package frames

// SyntaxError reports input that is not valid STOMP. A server answers it with
// ERROR and closes with 1002.
type SyntaxError struct{ reason string }

// Error returns one constant line that describes the problem. It contains
// nothing of the input and may be sent to the client.
func (e *SyntaxError) Error() string { return e.reason }

// ErrUnknownCommand is the error of a [Decoder] whose input begins with no
// STOMP command. Often the peer speaks another protocol. [Decoder.Failed]
// returns the word that it sent.
var ErrUnknownCommand = errCommand

var (
	errCommand       = &SyntaxError{"unknown command"}
	errReturn        = &SyntaxError{"carriage return without line feed"}
	errNUL           = &SyntaxError{"NUL inside a header line"}
	errColon         = &SyntaxError{"header line without a colon"}
	errName          = &SyntaxError{"header line without a name"}
	errEscape        = &SyntaxError{"undefined escape sequence in a header"}
	errContentLength = &SyntaxError{"content-length is not a number"}
	errBody          = &SyntaxError{"only SEND, MESSAGE and ERROR may have a body"}
	errBlankLine     = &SyntaxError{"no blank line between headers and body"}
	errEnd           = &SyntaxError{"no NUL after the body"}
)
