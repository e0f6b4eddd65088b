// Command chat is a page on @stomp/stompjs with a public room, and private
// messages to all open tabs of one user.
//
//	npm install --prefix examples
//	go run ./examples/chat
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

//go:embed index.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on")
	modules := flag.String("modules", "examples/node_modules", "node_modules directory with @stomp/stompjs")
	flag.Parse()
	if _, err := os.Stat(filepath.Join(*modules, "@stomp", "stompjs")); err != nil {
		log.Fatal("@stomp/stompjs is missing: npm install --prefix examples")
	}
	b, err := newBroker()
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	log.Printf("open http://%s in two windows", *listen)
	log.Print(http.ListenAndServe(*listen, routes(b, *modules)))
}

func routes(b *broker.Broker, modules string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/ws", b)
	mux.Handle("/stompjs/", http.StripPrefix("/stompjs/", http.FileServer(http.Dir(filepath.Join(modules, "@stomp", "stompjs", "esm6")))))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // the browser may be gone
	})
	return mux
}

func newBroker() (*broker.Broker, error) {
	// TrustLogin is only for loopback: logins are not checked. Anyone may read
	// and write the room, and send a private message to anyone, but not under
	// another user's name: /app/private below sets the sender.
	rules, err := auth.NewRules(
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/room"},
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/people"},
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/app/people"},
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/user/queue/private"},
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/app/*"},
	)
	if err != nil {
		return nil, err
	}
	b, err := broker.New(broker.Options{Authenticator: auth.TrustLogin, Authorizer: rules})
	if err != nil {
		return nil, err
	}
	c := chat{b}
	for destination, f := range map[string]broker.HandlerFunc{"/app/say": c.say, "/app/private": c.private, "/app/people": c.people} {
		if err := b.Handle(destination, f); err != nil {
			return nil, err
		}
	}
	b.Observe(broker.Observer{
		Connected:    func(broker.SessionInfo) { c.announce() },
		Disconnected: func(broker.SessionInfo, *broker.Error) { c.announce() },
	})
	return b, nil
}

type chat struct{ b *broker.Broker }

// line is a chat line, as the page sends and receives it.
type line struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	Text string `json:"text"`
}

// read parses a line from the page and sets its sender.
func read(r *broker.Request) (line, error) {
	var l line
	if err := json.Unmarshal(r.Body, &l); err != nil {
		return l, &broker.Error{Reason: broker.ReasonProtocolError, Message: "not a line of chat"}
	}
	l.From = r.Principal.Name
	return l, nil
}

func (c chat) say(ctx context.Context, r *broker.Request) error {
	l, err := read(r)
	if err != nil {
		return err
	}
	l.To = ""
	return c.b.Publish(ctx, &broker.Message{Destination: "/topic/room", Body: encode(l)})
}

func (c chat) private(ctx context.Context, r *broker.Request) error {
	l, err := read(r)
	if err != nil {
		return err
	}
	for _, user := range slices.Compact([]string{l.To, l.From}) { // show it in the sender's own tabs too
		if _, err := c.b.PublishToUser(ctx, user, &broker.Message{Destination: "/queue/private", Body: encode(l)}); err != nil {
			return err
		}
	}
	return nil
}

// people answers a SUBSCRIBE with the connected users; /topic/people gets the
// changes.
func (c chat) people(ctx context.Context, r *broker.Request) error {
	_, err := r.Reply(ctx, &broker.Message{Body: c.names()})
	return err
}

func (c chat) announce() {
	if err := c.b.Publish(context.Background(), &broker.Message{Destination: "/topic/people", Body: c.names()}); err != nil {
		log.Printf("people: %v", err)
	}
}

func (c chat) names() []byte {
	names := []string{}
	for name := range c.b.Users() {
		names = append(names, name)
	}
	slices.Sort(names)
	return encode(names)
}

func encode(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and slices of them always encode
	}
	return p
}
