package cluster

import (
	"bytes"
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
	b[0] = 2
	if _, err := decodeEnvelope(b); err == nil {
		t.Error("another version was taken")
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add(appendEnvelope(nil, nodeA, 1, &broker.Envelope{Destination: "/topic/a", ID: "i", Headers: []frames.Header{{Name: "n", Value: "v"}}, Body: []byte("body")}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEnvelope(b)
		if err != nil {
			return
		}
		h, err := decodeHead(b)
		if err != nil {
			t.Fatal(err)
		}
		again := appendEnvelope(nil, h.node, h.number, e)
		back, err := decodeEnvelope(again)
		if err != nil || !reflect.DeepEqual(back, e) || !bytes.Equal(appendEnvelope(nil, h.node, h.number, back), again) {
			t.Fatalf("%+v became %+v, %v", e, back, err)
		}
	})
}
