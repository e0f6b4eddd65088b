package broker_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// A broker in a program, with one handler: what a client SENDs to /app/echo
// comes back to it on /user/queue/echo.
func Example() {
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	err = b.Handle("/app/echo", broker.HandlerFunc(func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Body: r.Body})
		return err
	}))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", b) // then http.ListenAndServe("127.0.0.1:8080", mux)
	fmt.Println(b.Ready(context.Background()))
	// Output: <nil>
}

// The program takes part like a client: it consumes a queue, and its error
// would have the message delivered again.
func ExampleBroker_Subscribe() {
	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	ctx := context.Background()
	done := make(chan struct{})
	_, err = b.Subscribe(ctx, "/queue/jobs", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
		fmt.Printf("%s: %s\n", m.Destination, m.Body)
		close(done)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Publish(ctx, &broker.Message{Destination: "/queue/jobs", Body: []byte("resize 1.png")}); err != nil {
		log.Fatal(err)
	}
	<-done
	// Output: /queue/jobs: resize 1.png
}
