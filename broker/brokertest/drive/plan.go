// Package drive loads a broker with publishers, subscribers and consumers over
// real WebSockets, and tells a checker all that they do and see. It is how the
// tests of faults make traffic: they kill, cut and freeze what they like
// meanwhile, and ask the checker afterwards.
//
//	c := checker.New(checker.Options{})
//	err := drive.Run(ctx, c, drive.Plan{URL: drive.At(server.URL), Name: "run1", Topics: 2, Queues: 1,
//		Publishers: 2, Subscribers: 4, Consumers: 2, Sends: 1000})
//	r := c.Report() // after what must not have happened
//
// A client that loses its connection comes back, as another session, and
// subscribes again. Users are taken at their word: the broker is in
// development mode, with [Config].
package drive

import (
	"fmt"
	"os"
	"time"
)

// Config is the configuration, in YAML, that a broker needs for a [Plan].
const Config = `rules:
  - {allow: [send], destination: "/user/*/queue/**", any_user: true}
limits: {outbox: 64MiB}
queues: {messages: 1000000}
`

// Long reports whether tests of faults shall run for long, with
// HOOFBEAT_FAULTS=long in the environment.
func Long() bool { return os.Getenv("HOOFBEAT_FAULTS") == "long" }

// Role is what a client does.
type Role string

const (
	// Publisher sends to all destinations of the plan in turn, with receipts.
	Publisher Role = "publisher"
	// Subscriber subscribes to all topics, every other one by a pattern, and to its
	// private destination.
	Subscriber Role = "subscriber"
	// Consumer consumes all queues and acknowledges, with receipts: every other
	// one cumulatively (ack:client), the rest one by one (ack:client-individual).
	Consumer Role = "consumer"
)

// Plan is a bounded run.
type Plan struct {
	// URL returns the WebSocket endpoint of the nth client of a role. It is
	// asked for each connection, so that a client may come back elsewhere.
	URL func(r Role, n int) string
	// Node names the node behind it for the checker. Default: "node".
	Node func(r Role, n int) string
	// Name is a part of all destinations, so that several runs can use one broker.
	Name string
	// Topics and Queues are how many destinations there are, and Private whether
	// the subscribers' /user/queue is used, too.
	Topics, Queues int
	Private        bool
	// Publishers, Subscribers and Consumers are how many clients there are.
	Publishers, Subscribers, Consumers int
	// Users is how many names the subscribers have among them. Default: each its own.
	Users int
	// Sends is how many SENDs each publisher makes.
	Sends int
	// TransactionEvery puts five SENDs after so many others into a transaction, of
	// which every third is aborted. 0: none.
	TransactionEvery int
	// Size is that of bodies. Default 64 bytes.
	Size int
	// Window is how many SENDs of a publisher wait for their RECEIPT. Default 32.
	Window int
	// KillConsumer makes the first consumer end its connection without a word after
	// so many messages, the last few of which it has not acknowledged. 0: never.
	KillConsumer int
	// Gap is how many more SENDs a subscriber that lost its connection waits for
	// (their RECEIPTs) before it subscribes again. 0: it does not wait.
	Gap int
	// Quiet is how long nothing may come before what is outstanding counts as lost.
	// Default 15s. It is not waited for when nothing is outstanding.
	Quiet time.Duration
}

// At is a [Plan].URL for one endpoint.
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

func (p Plan) topic(n int) string { return fmt.Sprintf("/topic/%s/t%d", p.Name, n) }
func (p Plan) queue(n int) string { return fmt.Sprintf("/queue/%s.q%d", p.Name, n) }
func (p Plan) user(n int) string  { return fmt.Sprintf("%s-user%d", p.Name, n%p.Users) }
func (p Plan) private() string    { return "/queue/" + p.Name }

// destinations are where publishers send to.
func (p Plan) destinations() (list []string) {
	for n := range p.Topics {
		list = append(list, p.topic(n))
	}
	for n := range p.Queues {
		list = append(list, p.queue(n))
	}
	if p.Private {
		for n := range min(p.Users, p.Subscribers) {
			list = append(list, "/user/"+p.user(n)+p.private())
		}
	}
	return list
}
