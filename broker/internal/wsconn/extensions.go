package wsconn

import (
	"net/http"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws/wsflate"
)

// The answers to an offer of permessage-deflate, RFC 7692 section 7.1. Neither
// side may refer to messages before: of ours, one compressed message serves any
// number of connections; of the peer's, no connection keeps a window of 32 KiB.
const (
	deflateAnswer = wsflate.ExtensionName + "; server_no_context_takeover; client_no_context_takeover"
	// A bound on our window that was asked for has to be confirmed.
	deflateWindowAnswer = deflateAnswer + "; server_max_window_bits=15"
)

// deflateOffer is one offer of the client, which accepts the names of
// parameters and their values as RFC 7692 has them, each once.
type deflateOffer struct {
	declined bool
	seen     [4]bool
}

// negotiate returns the answer to the first offer of permessage-deflate that can
// be taken, "" if there is none. Offers that are not, also of other extensions,
// are declined by silence; from where a header line is malformed it offers
// nothing.
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

// parameter takes the next parameter. One that is unknown, has a value that it
// cannot have, or comes twice makes the whole offer one to decline.
func (o *deflateOffer) parameter(name string, value []byte) {
	var i int
	var good bool
	switch name {
	case "server_no_context_takeover":
		i, good = 0, value == nil
	case "client_no_context_takeover":
		i, good = 1, value == nil
	case "server_max_window_bits":
		// Package flate has one window, of 15 bits; a smaller one it cannot keep to.
		i, good = serverMaxWindowBits, string(value) == "15"
	case "client_max_window_bits":
		// A hint, with or without a value. We can read any window.
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
