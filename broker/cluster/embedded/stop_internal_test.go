//go:build !nostore

package embedded

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// An engine gets more time to stop with each of its consumers, which it stops one
// after another.
func TestAnEngineWithConsumersGetsTimeToStop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Start(ctx, Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "Q", Subjects: []string{"q.>"}, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	const consumers = 20
	for i := range consumers {
		if _, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Name: fmt.Sprint("c", i), FilterSubject: fmt.Sprint("q.", i), InactiveThreshold: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := patienceWith(s.current(), stopTimeout), stopTimeout+consumers*perConsumer; got != want {
		t.Errorf("it may take %v, want %v", got, want)
	}
}
