package store

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/broker"
)

func anyPut(t *rapid.T) broker.QueuePut {
	text := rapid.StringN(0, -1, 300)
	m := &broker.Message{Destination: text.Draw(t, "destination"), ID: text.Draw(t, "id"), Body: rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "body")}
	for range rapid.IntRange(0, 5).Draw(t, "headers") {
		m.Headers = append(m.Headers, broker.Header{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")})
	}
	p := broker.QueuePut{Queue: m.Destination, Message: m, Size: rapid.IntRange(0, maxPayloadSize).Draw(t, "size"), Share: text.Draw(t, "share")}
	if rapid.Bool().Draw(t, "elsewhere") {
		p.Queue = text.Draw(t, "queue")
	}
	if rapid.Bool().Draw(t, "expires") {
		p.Expires = time.UnixMilli(rapid.Int64Range(1, 1<<50).Draw(t, "at"))
	}
	return p
}

func same(a, b *broker.QueuePut) bool {
	return a.Queue == b.Queue && a.Size == b.Size && a.Share == b.Share && a.Expires.Equal(b.Expires) &&
		a.Message.Destination == b.Message.Destination && a.Message.ID == b.Message.ID &&
		bytes.Equal(a.Message.Body, b.Message.Body) && (len(a.Message.Headers) == 0 && len(b.Message.Headers) == 0 || reflect.DeepEqual(a.Message.Headers, b.Message.Headers))
}

func TestPayloadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPut(t)
		data := appendPayload(nil, &p)
		if len(data) > payloadSize(&p) {
			t.Errorf("%d bytes, bound %d", len(data), payloadSize(&p))
		}
		got, err := parsePayload(data)
		if err != nil || !same(&got, &p) {
			t.Fatalf("%v\n%+v %+v\n%+v %+v", err, got, got.Message, p, p.Message)
		}
		h, err := parsePayloadHead(data)
		if err != nil || h.queue != p.Queue || h.size != p.Size || h.share != p.Share || h.expires != milliseconds(p.Expires) {
			t.Fatalf("%v %+v", err, h)
		}
	})
}

// The format does not change: a store outlives the program that wrote it.
func TestPayloadFormat(t *testing.T) {
	p := broker.QueuePut{
		Queue: "/queue/a", Size: 300, Share: "u", Expires: time.UnixMilli(1000),
		Message: &broker.Message{Destination: "/queue/b", ID: "i", Headers: []broker.Header{{Name: "n", Value: "v"}}, Body: []byte("body")},
	}
	const want = "\x01\x03\xac\x02\xd0\x0f\x01u\x08/queue/a\x08/queue/b\x01i\x01\x01n\x01vbody"
	if got := string(appendPayload(nil, &p)); got != want {
		t.Errorf("%q\n%q", got, want)
	}
	got, err := parsePayload([]byte(want))
	if err != nil || !same(&got, &p) {
		t.Errorf("%v %+v", err, got)
	}
	_, err = parsePayload([]byte("\x02" + want[1:]))
	var version *payloadVersionError
	if !errors.As(err, &version) || !strings.Contains(err.Error(), "format 2") {
		t.Error(err)
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte("\x01\x03\xac\x02\xd0\x0f\x01u\x08/queue/a\x08/queue/b\x01i\x01\x01n\x01vbody"))
	f.Add([]byte("\x01\x00\x00\x00\x01q\x00\x00"))
	f.Add([]byte("\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePayload(data)
		if err != nil {
			return
		}
		again, err := parsePayload(appendPayload(nil, &p))
		if err != nil || !same(&again, &p) {
			t.Fatalf("%v\n%+v\n%+v", err, p, again)
		}
		if _, err := parsePayloadHead(data); err != nil {
			t.Fatal(err)
		}
	})
}
