package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
)

// durableVersion is the format of records and the first byte of a stored message.
const durableVersion = 1

// appendDurable appends the stored form of a message: version, the time in
// milliseconds as a varint, and the message as in a queue without a name.
func appendDurable(b []byte, p *broker.DurablePut, now time.Time) []byte {
	put := broker.QueuePut{Message: p.Message, Expires: p.Expires}
	if b == nil {
		b = make([]byte, 0, 1+binary.MaxVarintLen64+payloadSize(&put))
	}
	b = append(b, durableVersion)
	b = binary.AppendVarint(b, now.UnixMilli())
	return appendPayload(b, &put)
}

func parseDurable(data []byte) (m broker.StoredPut, err error) {
	if len(data) == 0 {
		return m, errPayload
	}
	if data[0] != durableVersion {
		return m, &payloadVersionError{data[0]}
	}
	at, n := binary.Varint(data[1:])
	if n <= 0 {
		return m, errPayload
	}
	put, err := parsePayload(data[1+n:])
	if err != nil {
		return m, err
	}
	m.Message, m.Expires, m.Stored = put.Message, put.Expires, time.UnixMilli(at)
	return m, nil
}

// definitionRecord is the stored form of a subscription. Texts of clients are
// bytes, because JSON would change what is not UTF-8.
type definitionRecord struct {
	Version     int       `json:"v"`
	ID          string    `json:"id"`
	User        []byte    `json:"user"`
	Name        []byte    `json:"name"`
	Destination []byte    `json:"destination"`
	Selector    []byte    `json:"selector,omitempty"`
	Created     time.Time `json:"created"`
	Shared      bool      `json:"shared,omitempty"`
	After       uint64    `json:"after"`
}

func encodeDefinition(d broker.StoredDurable) []byte {
	data, _ := json.Marshal(definitionRecord{ // never fails
		durableVersion, d.ID, []byte(d.User), []byte(d.Name), []byte(d.Destination), []byte(d.Selector), d.Created.Round(0), d.Shared, d.After,
	})
	return data
}

func decodeDefinition(data []byte) (broker.StoredDurable, error) {
	var r definitionRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return broker.StoredDurable{}, err
	}
	if r.Version != durableVersion {
		return broker.StoredDurable{}, recordVersion(r.Version)
	}
	return broker.StoredDurable{
		ID: r.ID, User: string(r.User), Name: string(r.Name), Destination: string(r.Destination), Selector: string(r.Selector),
		Created: r.Created, Shared: r.Shared, After: r.After,
	}, nil
}

// positionRecord is the stored form of a position.
type positionRecord struct {
	Version  int            `json:"v"`
	High     uint64         `json:"high"`
	Settled  []uint64       `json:"settled,omitempty"` // first and last of each range
	Given    uint64         `json:"given,omitempty"`
	Attached bool           `json:"attached,omitempty"`
	Used     time.Time      `json:"used"`
	Attempts map[uint64]int `json:"attempts,omitempty"`
	Dropped  int64          `json:"dropped,omitempty"`
	Told     int64          `json:"told,omitempty"`
}

func encodePosition(p broker.DurablePosition) []byte {
	r := positionRecord{
		Version: durableVersion, High: p.High, Given: p.Given, Attached: p.Attached, Used: p.Used.Round(0),
		Attempts: p.Attempts, Dropped: p.Dropped, Told: p.Told,
	}
	for _, s := range p.Settled {
		r.Settled = append(r.Settled, s.First, s.Last)
	}
	data, _ := json.Marshal(r) // never fails
	return data
}

func decodePosition(data []byte) (p broker.DurablePosition, err error) {
	var r positionRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return p, err
	}
	if r.Version != durableVersion {
		return p, recordVersion(r.Version)
	}
	p = broker.DurablePosition{
		High: r.High, Given: r.Given, Attached: r.Attached, Used: r.Used, Attempts: r.Attempts, Dropped: r.Dropped, Told: r.Told,
	}
	if len(r.Settled)%2 != 0 {
		return p, errRecord
	}
	for i := 0; i < len(r.Settled); i += 2 {
		p.Settled = append(p.Settled, broker.SequenceRange{First: r.Settled[i], Last: r.Settled[i+1]})
	}
	return p, nil
}

var errRecord = errors.New("the record of a durable subscription is damaged")

func recordVersion(v int) error {
	return fmt.Errorf("the record of a durable subscription has the format %d; this version of the program reads only %d", v, durableVersion)
}

// Load implements [broker.DurableStore]. A record that cannot be read is an error:
// without it, messages that nobody is known to want would be removed.
func (s *Durables) Load(ctx context.Context, into broker.DurableLoader) error {
	js, err := jetstream.New(s.o.Control)
	if err != nil {
		return err
	}
	definitions := make(map[string]broker.StoredDurable)
	positions := make(map[string]broker.DurablePosition)
	if err := s.read(ctx, js, s.names.records, func(m *nats.Msg, sequence uint64) error {
		subject := m.Header.Get("Nats-Subject")
		if s.names.isDefinition(subject) {
			d, err := decodeDefinition(m.Data)
			definitions[d.ID] = d
			if err == nil {
				s.define(d, sequence)
			}
			return err
		}
		if id, ok := s.names.positionOf(subject); ok {
			p, err := decodePosition(m.Data)
			positions[id] = p
			return err
		}
		return nil
	}); err != nil {
		return fmt.Errorf("reading %s: %w", s.names.records, err)
	}
	for id, d := range definitions {
		into.Subscription(d, positions[id])
		delete(positions, id)
	}
	for id := range positions { // of subscriptions that are deleted
		s.purge(s.names.position(id), nil, func(error) {})
	}
	err = s.read(ctx, js, s.names.stream, func(m *nats.Msg, sequence uint64) error {
		put, err := parseDurable(m.Data)
		if err != nil {
			s.log.Error("a message of durable subscriptions cannot be read; it stays in the store and is not delivered", "sequence", sequence, "error", err)
			s.removal.stored(sequence, 1) // nobody settles it, so it stays
			return nil
		}
		put.Sequence = sequence
		s.removal.stored(sequence, into.Message(put))
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.names.stream, err)
	}
	return nil
}

// read reads a stream from its beginning.
func (s *Durables) read(ctx context.Context, js jetstream.JetStream, name string, each func(*nats.Msg, uint64) error) error {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	found := uint64(0)
	var failed error
	err = scan(ctx, s.o.Data, name, state, func(m *nats.Msg, sequence uint64) {
		found++
		if err := each(m, sequence); err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", m.Header.Get("Nats-Subject"), err)
		}
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case found < state.Msgs:
		return fmt.Errorf("the stream should have %d messages, and %d were found", state.Msgs, found)
	}
	return nil
}
