package webflow

import (
	"bytes"
	"encoding/json"

	"github.com/hoofbeat/hoofbeat/broker"
)

// message builds a JSON message to a user destination.
func message(destination string, body []byte) *broker.Message {
	return &broker.Message{
		Destination: destination,
		Headers:     []broker.Header{{Name: "content-type", Value: "application/json"}},
		Body:        body,
	}
}

// success is the body of the reply to a successful registration. This file
// writes JSON by hand because the order of the fields is fixed.
func success(webSocketID string, r Reply) []byte {
	b := appendID(nil, webSocketID)
	if r == Full {
		b = append(b, `,"registrationSucceeded":true`...)
	}
	return append(b, '}')
}

// refusal is the body of the reply to a failed registration. webSocketID and
// reason may be "".
func refusal(webSocketID, reason string) []byte {
	b := []byte{'{'}
	if webSocketID != "" {
		b = append(appendID(b[:0], webSocketID), ',')
	}
	b = append(b, `"registrationSucceeded":false`...)
	if reason != "" {
		b = append(b, `,"reason":`...)
		b = appendString(b, reason)
	}
	return append(b, '}')
}

// notification is the body that carries a result.
func notification(webSocketID, authResult string) []byte {
	const rest = len(`{"webSocketId":"","authResult":""}`)
	b := append(appendID(make([]byte, 0, len(webSocketID)+len(authResult)+rest), webSocketID), `,"authResult":`...)
	return append(appendString(b, authResult), '}')
}

// waiting is the body of a poll's answer while there is no result.
func waiting(webSocketID string) []byte {
	return append(appendID(nil, webSocketID), `,"authResult":null}`...)
}

// polling is the body of the answer to a ticket exchange.
func polling(webSocketID, pollToken string) []byte {
	b := append(appendID(nil, webSocketID), `,"pollToken":`...)
	return append(appendString(b, pollToken), '}')
}

func appendID(b []byte, webSocketID string) []byte {
	return appendString(append(b, `{"webSocketId":`...), webSocketID)
}

// appendString appends s in quotes. It copies plain strings, which most are.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return appendQuoted(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendQuoted(b []byte, s string) []byte {
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // encoding a string into a Buffer cannot fail
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
