package wsconn

import (
	"net/http"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// The answers to an offer of permessage-deflate, RFC 7692 section 7.1. Neither
// side may refer to earlier messages: then one compressed outgoing message
// serves any number of connections, and no connection keeps a window of 32 KiB
// for incoming ones.
const (
	deflateAnswer = wsflate.ExtensionName + "; server_no_context_takeover; client_no_context_takeover"
	// If the client asks for a limit on the server's window, the answer must
	// confirm it.
	deflateWindowAnswer = deflateAnswer + "; server_max_window_bits=15"
)

// deflateOffer is one offer of the client. It accepts parameter names and
// values exactly as RFC 7692 defines them, each at most once.
type deflateOffer struct {
	declined bool
	seen     [4]bool
}

// negotiate returns the answer to the first acceptable offer of
// permessage-deflate, or "". An offer that gets no answer, as for other
// extensions, is declined. It ignores a malformed header line.
func negotiate(h http.Header) string {
	for _, line := range h.Values("Sec-WebSocket-Extensions") {
		var offers []deflateOffer
		well := httphead.ScanOptions([]byte(line), func(i int, name, parameter, value []byte) httphead.Control {
			if i == len(offers) {
				offers = append(offers, deflateOffer{declined: string(name) != wsflate.ExtensionName})
			}
			if parameter != nil {
				offers[i].parameter(string(parameter), value)
			}
			return httphead.ControlContinue
		})
		if !well {
			continue
		}
		for i := range offers {
			if answer := offers[i].answer(); answer != "" {
				return answer
			}
		}
	}
	return ""
}

const serverMaxWindowBits = 2 // index in deflateOffer.seen

// parameter handles one parameter. If it is unknown, has an invalid value, or
// is repeated, the whole offer is declined.
func (o *deflateOffer) parameter(name string, value []byte) {
	var i int
	var good bool
	switch name {
	case "server_no_context_takeover":
		i, good = 0, value == nil
	case "client_no_context_takeover":
		i, good = 1, value == nil
	case "server_max_window_bits":
		// Package flate has one window size, of 15 bits, and cannot use a
		// smaller one.
		i, good = serverMaxWindowBits, string(value) == "15"
	case "client_max_window_bits":
		// A hint, with or without a value. The decoder can read any window.
		i, good = 3, value == nil || windowBits(string(value))
	}
	if !good || o.seen[i] {
		o.declined = true
	}
	o.seen[i] = true
}

func (o *deflateOffer) answer() string {
	switch {
	case o.declined:
		return ""
	case o.seen[serverMaxWindowBits]:
		return deflateWindowAnswer
	}
	return deflateAnswer
}

// windowBits reports whether s is a number from 8 to 15 without leading zeros.
func windowBits(s string) bool {
	return s == "8" || s == "9" || len(s) == 2 && s[0] == '1' && '0' <= s[1] && s[1] <= '5'
}
