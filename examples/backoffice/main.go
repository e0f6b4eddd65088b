// Command backoffice embeds a broker to which only the back office publishes:
// periodic jobs in this program, and other processes. Pages only subscribe.
//
//	export BACKOFFICE_SECRET=$(openssl rand -hex 32)
//	go run ./examples/backoffice
//	hoofbeat sub -u ws://127.0.0.1:8090/ws '/topic/**'
//	go run ./examples/backoffice publish /topic/maintenance '{"isOn":true,"userId":1}'
//	hoofbeat pub -u ws://127.0.0.1:8090/ws /topic/maintenance '{"isOn":false}'   # denied
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
)

const listen = "127.0.0.1:8090"

func main() {
	secret := ticket.Secret{ID: "main", Key: []byte(os.Getenv("BACKOFFICE_SECRET"))}
	var err error
	if args := os.Args[1:]; len(args) == 3 && args[0] == "publish" {
		err = publish(secret, args[1], args[2])
	} else {
		err = serve(secret)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve(secret ticket.Secret) error {
	o, err := options(secret)
	if err != nil {
		return err
	}
	b, err := broker.New(o)
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	start(ctx, b,
		job{name: "clock", every: time.Second, topic: "/topic/clock", run: clock},
		job{name: "memory", every: time.Minute, run: memory},
	)
	http.Handle("/ws", b)
	log.Printf("listening on ws://%s/ws", listen)
	return http.ListenAndServe(listen, nil)
}

// options let anyone subscribe to all topics. Only backends may send to them,
// with a ticket signed with the secret.
func options(secret ticket.Secret) (broker.Options, error) {
	store := auth.NewRevocations()
	tickets, err := ticket.New(ticket.NewMemory(), store, ticket.Options{Signed: true, Secrets: []ticket.Secret{secret}})
	if err != nil {
		return broker.Options{}, err
	}
	rules, err := auth.Guarded().Prepend(auth.Rule{
		Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/topic/**", Roles: []string{auth.RoleBackend},
	})
	return broker.Options{Authenticator: auth.Chain(tickets, auth.Anonymous), Authorizer: rules, Revocations: store}, err
}

// clock is a job with a topic.
func clock(context.Context) ([]byte, error) { return time.Now().AppendFormat(nil, time.TimeOnly), nil }

// memory is a job without a topic.
func memory(context.Context) ([]byte, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	log.Printf("%d KiB in use", m.HeapAlloc>>10)
	return nil, nil
}

// publish runs in the other process.
func publish(secret ticket.Secret, destination, body string) error {
	p, err := newPublisher("ws://"+listen+"/ws", secret)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Publish(context.Background(), destination, []byte(body)); err != nil {
		return err
	}
	fmt.Println("published")
	return nil
}
