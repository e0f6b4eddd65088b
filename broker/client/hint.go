package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// hint adds advice to an error of Dial if the URL's scheme probably does not
// match the protocol of the port.
func hint(e endpoint, err error) error {
	var record tls.RecordHeaderError
	var answered *HTTPError
	text := err.Error()
	switch {
	// Some of these cases can only be recognised by the text of net/http.
	case errors.As(err, &record), strings.Contains(text, "HTTP response to HTTPS client"):
		return try(e.webSocket, false, "the port has no TLS", err)
	case strings.Contains(text, `malformed HTTP response "ERROR`):
		return try(false, e.tls, "the port speaks STOMP without WebSocket", err)
	case errors.As(err, &answered) && strings.Contains(answered.Body, "HTTP request to an HTTPS server"):
		return try(true, true, "the port wants TLS", err)
	case errors.Is(err, ErrNotStomp) && strings.Contains(text, `"HTTP/`):
		return try(true, e.tls, "the port speaks HTTP", err)
	}
	return err
}

func try(webSocket, tls bool, fault string, err error) error {
	scheme := map[[2]bool]string{{false, false}: "tcp", {false, true}: "tcps", {true, false}: "ws", {true, true}: "wss"}[[2]bool{webSocket, tls}]
	return fmt.Errorf("client: %s, try %s://: %w", fault, scheme, err)
}
