// Command embed mounts a broker in an ordinary net/http program, beside its
// other routes. It answers each subscription to /app/time, replies to
// /app/shout privately, and publishes a tick every second.
//
//	go run ./examples/embed
//	hoofbeat sub -u ws://127.0.0.1:8090/ws /topic/ticks
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

func main() {
	b, err := newBroker()
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	go tick(b)

	http.Handle("/ws", b)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "an ordinary page; STOMP is at /ws")
	})
	log.Print("listening on http://127.0.0.1:8090")
	log.Print(http.ListenAndServe("127.0.0.1:8090", nil))
}

func newBroker() (*broker.Broker, error) {
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous, Authorizer: auth.Open()})
	if err != nil {
		return nil, err
	}
	// Answer each SUBSCRIBE to /app/time once, like Spring's @SubscribeMapping.
	if err := b.Handle("/app/time", broker.HandlerFunc(now)); err != nil {
		return nil, err
	}
	// Answer each SEND to /app/shout to its sender, on /user/queue/shout.
	return b, b.Handle("/app/shout", broker.HandlerFunc(shout))
}

func now(ctx context.Context, r *broker.Request) error {
	_, err := r.Reply(ctx, &broker.Message{Body: time.Now().AppendFormat(nil, time.RFC3339)})
	return err
}

func shout(ctx context.Context, r *broker.Request) error {
	_, err := r.Reply(ctx, &broker.Message{Body: bytes.ToUpper(r.Body)})
	return err
}

func tick(b *broker.Broker) {
	for at := range time.Tick(time.Second) {
		m := &broker.Message{Destination: "/topic/ticks", Body: at.AppendFormat(nil, time.TimeOnly)}
		if err := b.Publish(context.Background(), m); err != nil {
			return // closed
		}
	}
}
