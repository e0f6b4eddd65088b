package cluster

import (
	"reflect"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/frames"
)

const nodeA = "aaaaaaaaaaaa"

func TestEnvelope(t *testing.T) {
	e := &broker.Envelope{
		Destination: "/topic/ü", ID: nodeA + "-7", Origin: 1<<63 + 5, Body: []byte("a\x00b"),
		Headers: []frames.Header{{Name: "a", Value: ""}, {Name: "", Value: "x\ny"}},
	}
	b := appendEnvelope(nil, nodeA, 9, e)
	if h, err := decodeHead(b); err != nil || h != (head{nodeA, 9, e.Origin}) {
		t.Fatal(h, err)
	}
	if got, err := decodeEnvelope(b); err != nil || !reflect.DeepEqual(got, e) {
		t.Fatalf("%+v %v", got, err)
	}
	for n := range b {
		if _, err := decodeEnvelope(b[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a message", n, len(b))
		}
	}
	if _, err := decodeEnvelope(append(b, 0)); err == nil {
		t.Error("a byte too many was taken")
	}
	b[0] = 3
	if _, err := decodeEnvelope(b); err == nil {
		t.Error("another version was taken")
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(appendEnvelope(nil, nodeA, 1, &broker.Envelope{Destination: "/topic/a", ID: "i", Headers: []frames.Header{{Name: "n", Value: "v"}}, Body: []byte("body")}))
	f.Add([]byte{1})
	f.Add(several(
		&broker.Envelope{Destination: "/topic/a", ID: "i"}, &broker.Envelope{Destination: "/topic/a", ID: "j", Body: []byte("body")},
		&broker.Envelope{Destination: "/topic/b", Headers: []frames.Header{{Name: "n", Value: "v"}}},
	))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeEnvelopes(b)
		if err != nil {
			return
		}
		if n := messagesIn(b); n != uint64(len(list)) {
			t.Fatalf("%d messages were counted, %d read", n, len(list))
		}
		again := make([]*broker.Envelope, len(list))
		for i := range list {
			again[i] = &list[i]
		}
		back, err := decodeEnvelopes(several(again...))
		if err != nil || !reflect.DeepEqual(back, list) {
			t.Fatalf("%+v became %+v, %v", list, back, err)
		}
	})
}

// several encodes messages in one envelope, as a batch does.
func several(list ...*broker.Envelope) []byte {
	b := appendHead(nil, envelopeVersion, nodeA, 7, list[0].Origin)
	if len(list) > 1 {
		b[0] = severalVersion
	}
	for i, e := range list {
		destination := e.Destination
		if i > 0 && destination == list[i-1].Destination {
			destination = ""
		}
		b = appendRest(appendText(b, destination), e)
	}
	return b
}

// decodeEnvelope reads an envelope of one message. The body shares the memory of
// b.
func decodeEnvelope(b []byte) (*broker.Envelope, error) {
	list, err := decodeEnvelopes(b)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, errEnvelope
	}
	return &list[0], nil
}

// appendEnvelope is an envelope with one message.
func appendEnvelope(b []byte, node string, number uint64, e *broker.Envelope) []byte {
	return appendRest(appendText(appendHead(b, envelopeVersion, node, number, e.Origin), e.Destination), e)
}
