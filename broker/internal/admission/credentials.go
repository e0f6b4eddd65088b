package admission

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// ticketProtocol is the prefix of a Sec-WebSocket-Protocol entry that carries a
// ticket. Browsers can set no other header. The entry is never echoed.
const ticketProtocol = "ticket."

const masked = "masked"

// secretParameters are masked in the URL that hooks receive.
var secretParameters = []string{"ticket", "token", "access_token", "passcode"}

// errNoToken rejects a handshake whose Authorization header cannot be parsed.
var errNoToken = &auth.Refusal{Reason: "the request needs one Authorization header, with a token", Challenge: httpsec.InvalidToken}

// presented returns the ticket and the bearer token of a handshake.
func presented(r *http.Request) (ticket, bearer string, err error) {
	ticket = r.URL.Query().Get("ticket")
	if ticket == "" {
		for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
			for entry := range strings.SplitSeq(line, ",") {
				if v, ok := strings.CutPrefix(strings.TrimSpace(entry), ticketProtocol); ok && ticket == "" {
					ticket = v
				}
			}
		}
	}
	bearer, meant := httpsec.RequestToken(r.Header)
	if meant && bearer == "" {
		return "", "", errNoToken
	}
	return ticket, bearer, nil
}

// handshake returns the parts of a request that hooks may see, with the tickets
// masked.
func handshake(r *http.Request) *auth.Handshake {
	return &auth.Handshake{Header: maskedHeader(r.Header), URL: maskedURL(r.URL), Host: r.Host, TLS: r.TLS}
}

func maskedHeader(h http.Header) http.Header {
	const name = "Sec-Websocket-Protocol"
	if !strings.Contains(strings.Join(h[name], ","), ticketProtocol) {
		return h
	}
	c := h.Clone()
	for i, line := range c[name] {
		entries := strings.Split(line, ",")
		for j, entry := range entries {
			if strings.HasPrefix(strings.TrimSpace(entry), ticketProtocol) {
				entries[j] = ticketProtocol + masked
			}
		}
		c[name][i] = strings.Join(entries, ",")
	}
	return c
}

func maskedURL(u *url.URL) *url.URL {
	c := *u
	if c.RawQuery == "" {
		return &c
	}
	q := c.Query()
	for _, name := range secretParameters {
		if q.Has(name) {
			q.Set(name, masked)
		}
	}
	c.RawQuery = q.Encode()
	return &c
}
