// Package drive loads a broker with publishers, subscribers and consumers over
// real WebSockets, and reports everything they do and see to a checker. Fault
// tests use it to create traffic: they kill, cut and freeze things meanwhile,
// and ask the checker afterwards.
//
//	c := checker.New(checker.Options{})
//	err := drive.Run(ctx, c, drive.Plan{URL: drive.At(server.URL), Name: "run1", Topics: 2, Queues: 1,
//		Publishers: 2, Subscribers: 4, Consumers: 2, Sends: 1000})
//	r := c.Report() // the violations
//
// A client that loses its connection reconnects, as a new session, and
// subscribes again. Logins are not checked: the broker must run in development
// mode, with [Config].
package drive

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Config is the YAML configuration that a broker needs for a [Plan].
const Config = `rules:
  - {allow: [send], destination: "/user/*/queue/**", any_user: true}
limits: {outbox: 64MiB}
queues: {messages: 1000000}
durable:
  - {destination: "/topic/*/durable*", messages: 1000000, bytes: 128MiB}
`

// Long reports whether fault tests run for a long time, which the environment
// variable HOOFBEAT_FAULTS=long requests.
func Long() bool { return os.Getenv("HOOFBEAT_FAULTS") == "long" }

// Role is the kind of a client.
type Role string

const (
	// Publisher sends to all destinations of the plan in turn, with receipts.
	Publisher Role = "publisher"
	// Subscriber subscribes to all topics and to its private destination. Every
	// other one subscribes to the topics by a pattern.
	Subscriber Role = "subscriber"
	// Consumer consumes all queues and acknowledges, with receipts: every other
	// one cumulatively (ack:client), the rest one by one
	// (ack:client-individual).
	Consumer Role = "consumer"
	// Durable has a durable subscription to a topic that nobody else subscribes
	// to, so that the rules of a queue hold for it. It acknowledges with receipts,
	// as a Consumer does, and comes and goes.
	Durable Role = "durable"
)

// Plan describes a run.
type Plan struct {
	// URL returns the WebSocket endpoint of the nth client of a role. It is
	// called for each connection, so that a client can reconnect elsewhere.
	URL func(r Role, n int) string
	// Node returns the name of the node behind that endpoint, for the checker.
	// Default: "node".
	Node func(r Role, n int) string
	// Name is part of all destinations, so that several runs can share a
	// broker.
	Name string
	// Topics and Queues are the numbers of destinations. Private adds the
	// subscribers' /user/queue destinations.
	Topics, Queues int
	Private        bool
	// Publishers, Subscribers and Consumers are the numbers of clients.
	Publishers, Subscribers, Consumers int
	// Durables is the number of durable subscriptions, each to a topic of its own.
	// For the checker these topics are queues, see [Queue].
	Durables int
	// Visit is the number of messages after which the client of a durable
	// subscription ends its connection without DISCONNECT and comes back. It has
	// not acknowledged the last few. Default: it stays.
	Visit int
	// Users is the number of user names that the subscribers share. Default:
	// one each.
	Users int
	// Sends is the number of SENDs per publisher.
	Sends int
	// TransactionEvery puts five SENDs into a transaction after every
	// TransactionEvery others. Every third transaction is aborted. 0 means
	// none.
	TransactionEvery int
	// Size is the size of bodies. Default 64 bytes.
	Size int
	// Window is how many SENDs of a publisher may await their RECEIPT. Default
	// 32.
	Window int
	// KillConsumer is the number of messages after which the first consumer
	// ends its connection without DISCONNECT. It has not acknowledged the last
	// few. 0 means never.
	KillConsumer int
	// Gap is how many further receipted SENDs a subscriber waits for after
	// losing its connection, before it subscribes again. 0 means it does not
	// wait.
	Gap int
	// Quiet is how long nothing may arrive before outstanding messages count as
	// lost. Default 15 s. Run does not wait if nothing is outstanding.
	Quiet time.Duration
}

// At returns a [Plan].URL for a single endpoint.
func At(url string) func(Role, int) string { return func(Role, int) string { return url } }

func (p Plan) filled() (Plan, error) {
	if p.URL == nil || p.Name == "" {
		return p, fmt.Errorf("drive: a plan needs URL and Name")
	}
	if p.Node == nil {
		p.Node = func(Role, int) string { return "node" }
	}
	for _, d := range []struct {
		of *int
		to int
	}{{&p.Users, max(1, p.Subscribers)}, {&p.Size, 64}, {&p.Window, 32}} {
		if *d.of == 0 {
			*d.of = d.to
		}
	}
	if p.Quiet == 0 {
		p.Quiet = 15 * time.Second
	}
	if len(p.destinations()) == 0 {
		return p, fmt.Errorf("drive: a plan needs a destination")
	}
	return p, nil
}

func (p Plan) topic(n int) string   { return fmt.Sprintf("/topic/%s/t%d", p.Name, n) }
func (p Plan) durable(n int) string { return fmt.Sprintf("/topic/%s/durable%d", p.Name, n) }
func (p Plan) queue(n int) string   { return fmt.Sprintf("/queue/%s.q%d", p.Name, n) }
func (p Plan) user(n int) string    { return fmt.Sprintf("%s-user%d", p.Name, n%p.Users) }
func (p Plan) private() string      { return "/queue/" + p.Name }

// Queue is checker.Options.Queue for a plan with durable subscriptions.
func Queue(destination string) bool {
	return strings.HasPrefix(destination, "/queue/") || strings.Contains(destination, "/durable")
}

// destinations returns all destinations that publishers send to.
func (p Plan) destinations() (list []string) {
	for n := range p.Topics {
		list = append(list, p.topic(n))
	}
	for n := range p.Queues {
		list = append(list, p.queue(n))
	}
	for n := range p.Durables {
		list = append(list, p.durable(n))
	}
	if p.Private {
		for n := range min(p.Users, p.Subscribers) {
			list = append(list, "/user/"+p.user(n)+p.private())
		}
	}
	return list
}
