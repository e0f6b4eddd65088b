package frames

import "slices"

// The commands of STOMP 1.0, 1.1 and 1.2, which are case sensitive. A [Decoder]
// accepts exactly these, in every version and in both directions. The session
// must check whether, for example, NACK exists in the negotiated version or a
// client may send MESSAGE.
const (
	// CommandConnect opens a session.
	CommandConnect = "CONNECT"
	// CommandStomp is an alternative to CONNECT for 1.1 and 1.2 clients.
	CommandStomp = "STOMP"
	// CommandConnected answers CONNECT and STOMP.
	CommandConnected = "CONNECTED"
	// CommandSend carries a message to a destination. It may have a body.
	CommandSend = "SEND"
	// CommandSubscribe subscribes to a destination.
	CommandSubscribe = "SUBSCRIBE"
	// CommandUnsubscribe ends a subscription.
	CommandUnsubscribe = "UNSUBSCRIBE"
	// CommandAck acknowledges a MESSAGE.
	CommandAck = "ACK"
	// CommandNack refuses a MESSAGE. Since 1.1.
	CommandNack = "NACK"
	// CommandBegin opens a transaction.
	CommandBegin = "BEGIN"
	// CommandCommit commits a transaction.
	CommandCommit = "COMMIT"
	// CommandAbort rolls a transaction back.
	CommandAbort = "ABORT"
	// CommandDisconnect ends a session gracefully.
	CommandDisconnect = "DISCONNECT"
	// CommandMessage carries a message to a subscriber. It may have a body.
	CommandMessage = "MESSAGE"
	// CommandReceipt confirms a client frame that had a receipt header.
	CommandReceipt = "RECEIPT"
	// CommandError reports an error to a client. It may have a body.
	CommandError = "ERROR"
)

// The header names of the STOMP specifications, and user-name, which Spring's
// brokers add to CONNECTED. They are case sensitive.
const (
	HeaderAcceptVersion = "accept-version"
	HeaderAck           = "ack"
	HeaderContentLength = "content-length"
	HeaderContentType   = "content-type"
	HeaderDestination   = "destination"
	HeaderHeartBeat     = "heart-beat"
	HeaderHost          = "host"
	HeaderID            = "id"
	HeaderLogin         = "login"
	HeaderMessage       = "message"
	HeaderMessageID     = "message-id"
	HeaderPasscode      = "passcode"
	HeaderReceipt       = "receipt"
	HeaderReceiptID     = "receipt-id"
	HeaderServer        = "server"
	HeaderSession       = "session"
	HeaderSubscription  = "subscription"
	HeaderTransaction   = "transaction"
	HeaderUserName      = "user-name"
	HeaderVersion       = "version"
)

// Header is one header entry in plain form: the [Decoder] resolves escape
// sequences and [Append] creates them.
type Header struct{ Name, Value string }

// Frame is one STOMP frame. Headers keeps the order on the wire and all
// repeated entries, of which the first counts (STOMP 1.2, "Repeated Header
// Entries"). Body is nil if there is none.
type Frame struct {
	Command string
	Headers []Header
	Body    []byte
}

// Lookup returns the value of the first header with this name, and whether
// there is one. Later entries with the same name never count, so that every
// reader of a frame, above all a security check, sees the same value.
func (f *Frame) Lookup(name string) (value string, ok bool) {
	for i := range f.Headers {
		if f.Headers[i].Name == name {
			return f.Headers[i].Value, true
		}
	}
	return "", false
}

// Get returns the value of the first header with this name, or "". Use
// [Frame.Lookup] to distinguish a missing header from an empty one.
func (f *Frame) Get(name string) string {
	value, _ := f.Lookup(name)
	return value
}

// Clone returns a copy that shares no memory with the [Decoder] of f. Use it to
// keep a frame beyond the next call to the Decoder, for example in a
// transaction.
func (f *Frame) Clone() *Frame {
	return &Frame{Command: f.Command, Headers: slices.Clone(f.Headers), Body: slices.Clone(f.Body)}
}

// hasBody reports whether frames with this command may have a body: only SEND,
// MESSAGE and ERROR (STOMP 1.1 and 1.2, "Body").
func hasBody(command string) bool {
	switch command {
	case CommandSend, CommandMessage, CommandError:
		return true
	}
	return false
}

// isRaw reports whether headers of this command are never escaped, in any
// version. The specifications name CONNECT and CONNECTED. STOMP replaces
// CONNECT and is treated the same, as in Spring.
func isRaw(command string) bool {
	switch command {
	case CommandConnect, CommandStomp, CommandConnected:
		return true
	}
	return false
}

// maxCommandLine is the length of the longest command line, including its end
// of line.
const maxCommandLine = len(CommandUnsubscribe) + len("\r\n")

// commands lists all commands, the most frequent first.
var commands = [...]string{
	CommandSend, CommandMessage, CommandAck, CommandReceipt, CommandSubscribe, CommandUnsubscribe, CommandNack,
	CommandConnect, CommandStomp, CommandConnected, CommandBegin, CommandCommit, CommandAbort, CommandDisconnect, CommandError,
}

// intern returns the constant for a command, so that no frame allocates its
// own, or "" for an unknown command.
func intern(command []byte) string {
	for _, c := range commands {
		if string(command) == c {
			return c
		}
	}
	return ""
}

// isCommand reports whether the command exists.
func isCommand(command string) bool { return slices.Contains(commands[:], command) }

// isCommandPrefix reports whether a line that begins with p can still become a
// known command. With it the decoder refuses an HTTP request, a TLS hello or
// random bytes at once, without waiting for a line feed.
func isCommandPrefix(p []byte) bool {
	for _, c := range commands {
		if len(p) <= len(c) && string(p) == c[:len(p)] {
			return true
		}
		if len(p) == len(c)+1 && string(p[:len(c)]) == c && p[len(c)] == '\r' {
			return true
		}
	}
	return false
}
