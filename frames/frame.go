package frames

import "slices"

// The commands of STOMP 1.0, 1.1 and 1.2. They are case sensitive. A [Decoder] knows exactly these, in every version and
// in both directions: whether NACK exists in the negotiated version, or whether a client may send MESSAGE, is for the
// session to judge.
const (
	// CommandConnect opens a session.
	CommandConnect = "CONNECT"
	// CommandStomp is what 1.1 and 1.2 clients may send in the place of CONNECT.
	CommandStomp = "STOMP"
	// CommandConnected answers CONNECT and STOMP.
	CommandConnected = "CONNECTED"
	// CommandSend carries a message to a destination; one of the three commands with a body.
	CommandSend = "SEND"
	// CommandSubscribe registers for a destination.
	CommandSubscribe = "SUBSCRIBE"
	// CommandUnsubscribe ends a subscription.
	CommandUnsubscribe = "UNSUBSCRIBE"
	// CommandAck confirms a MESSAGE.
	CommandAck = "ACK"
	// CommandNack refuses a MESSAGE; since 1.1.
	CommandNack = "NACK"
	// CommandBegin opens a transaction.
	CommandBegin = "BEGIN"
	// CommandCommit executes a transaction.
	CommandCommit = "COMMIT"
	// CommandAbort rolls a transaction back.
	CommandAbort = "ABORT"
	// CommandDisconnect ends a session in good order.
	CommandDisconnect = "DISCONNECT"
	// CommandMessage carries a message to a subscriber; one of the three commands with a body.
	CommandMessage = "MESSAGE"
	// CommandReceipt confirms a client frame that had a receipt header.
	CommandReceipt = "RECEIPT"
	// CommandError tells a client what went wrong; one of the three commands with a body.
	CommandError = "ERROR"
)

// The header names of the STOMP specifications, and user-name, which Spring's brokers add to CONNECTED. Names are case
// sensitive.
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

// Header is one header entry, in its plain form: escape sequences are resolved by the [Decoder] and made by [Append].
type Header struct{ Name, Value string }

// Frame is one STOMP frame. Headers keep the order of the wire and all repeated entries, of which the first one counts
// (STOMP 1.2, "Repeated Header Entries"). Body is nil when there is none.
type Frame struct {
	Command string
	Headers []Header
	Body    []byte
}

// Lookup returns the value of the first header of that name, and whether there is one. Later entries of the same name are
// history and never win, so that every reader of a frame, a security check above all, sees the same value.
func (f *Frame) Lookup(name string) (value string, ok bool) {
	for i := range f.Headers {
		if f.Headers[i].Name == name {
			return f.Headers[i].Value, true
		}
	}
	return "", false
}

// Get returns the value of the first header of that name, "" if there is none. Use [Frame.Lookup] where a missing header
// and an empty one differ.
func (f *Frame) Get(name string) string {
	value, _ := f.Lookup(name)
	return value
}

// Clone returns a copy that shares no memory with the buffers of the [Decoder] f came from, for whoever keeps a frame
// longer than until the next call of the Decoder: an open transaction, for instance.
func (f *Frame) Clone() *Frame {
	return &Frame{Command: f.Command, Headers: slices.Clone(f.Headers), Body: slices.Clone(f.Body)}
}

// hasBody tells whether frames of that command may have a body: only SEND, MESSAGE and ERROR (STOMP 1.1 and 1.2, "Body").
func hasBody(command string) bool {
	switch command {
	case CommandSend, CommandMessage, CommandError:
		return true
	}
	return false
}

// isRaw tells whether headers of that command are written without escape sequences in every version. The specifications
// name CONNECT and CONNECTED; STOMP stands in the place of CONNECT and is treated like it, as Spring does.
func isRaw(command string) bool {
	switch command {
	case CommandConnect, CommandStomp, CommandConnected:
		return true
	}
	return false
}

// maxCommandLine is the longest command line there is, its end of line included.
const maxCommandLine = len(CommandUnsubscribe) + len("\r\n")

// commands lists all there are, the most frequent first.
var commands = [...]string{
	CommandSend, CommandMessage, CommandAck, CommandReceipt, CommandSubscribe, CommandUnsubscribe, CommandNack,
	CommandConnect, CommandStomp, CommandConnected, CommandBegin, CommandCommit, CommandAbort, CommandDisconnect, CommandError,
}

// intern returns the constant for a command, so that no frame allocates its own; "" if there is no such command.
func intern(command []byte) string {
	for _, c := range commands {
		if string(command) == c {
			return c
		}
	}
	return ""
}

// isCommand tells whether there is such a command.
func isCommand(command string) bool { return slices.Contains(commands[:], command) }

// isCommandPrefix tells whether a line that begins with p can still become a known command. It lets the decoder refuse an
// HTTP request, a TLS hello or random bytes at once, and not only when a line feed comes along.
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
