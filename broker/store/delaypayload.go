package store

import (
	"encoding/binary"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// delayVersion is the first byte of a stored delayed message.
const delayVersion = 1

// appendDelay appends the stored form of a delayed message:
//
//	version, varint due, user, and then the form of a message of a queue without
//	name
func appendDelay(b []byte, p *broker.DelayPut) []byte {
	b = append(b, delayVersion)
	b = binary.AppendVarint(b, p.Due.UnixMilli())
	b = appendText(b, p.User)
	put := p.QueuePut
	put.Queue = ""
	return appendPayload(b, &put)
}

// delaySize is an upper bound of the length of the stored form.
func delaySize(p *broker.DelayPut) int {
	return 1 + 2*binary.MaxVarintLen64 + len(p.User) + payloadSize(&p.QueuePut)
}

// parseDelay returns a stored delayed message. Its body shares the memory of
// data.
func parseDelay(data []byte) (broker.DelayPut, error) {
	r := payloadReader{rest: data}
	if v := r.byte(); r.err == nil && v != delayVersion {
		r.fail(&payloadVersionError{v})
	}
	due, user := r.varint(), r.text()
	if r.err != nil {
		return broker.DelayPut{}, r.err
	}
	put, err := parsePayload(r.rest)
	return broker.DelayPut{QueuePut: put, Due: time.UnixMilli(due), User: user}, err
}

// idsVersion is the first byte of a record of ids.
const idsVersion = 1

// appendIDs appends a record of the ids of messages that are stored with it:
//
//	version, varint time, then each id
func appendIDs(b []byte, now int64, puts []put) []byte {
	b = append(b, idsVersion)
	b = binary.AppendVarint(b, now)
	for i := range puts {
		if puts[i].once != "" {
			b = appendText(b, puts[i].once)
		}
	}
	return b
}

// parseIDs reads a record of ids.
func parseIDs(data []byte) (at int64, ids []string, err error) {
	r := payloadReader{rest: data}
	if v := r.byte(); r.err == nil && v != idsVersion {
		r.fail(&payloadVersionError{v})
	}
	at = r.varint()
	for r.err == nil && len(r.rest) > 0 {
		ids = append(ids, r.text())
	}
	return at, ids, r.err
}
