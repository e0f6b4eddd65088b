package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// RosterOptions configure [NewRoster]. Conn and Self are required.
type RosterOptions struct {
	// Conn is a connection that messages do not delay.
	Conn *nats.Conn
	// Prefix begins all subjects. Default "hb".
	Prefix string
	// Every is the time between two reports of a node. One of which four are
	// missed is not live. Default half a second: who has died is gone after two
	// and a half.
	Every time.Duration
	// Self returns what this node tells the others. It is called for each report
	// and must not call the Roster.
	Self func() Profile
	// Changed is called with all live nodes, this one included, when a node has
	// come, gone or changed what it tells of its URL or whether it is ready. The
	// calls are one at a time. It must not call the Roster. May be nil.
	Changed func([]Profile)
	// Logger gets what cannot be read. Nil means no logging.
	Logger *slog.Logger
}

// Profile is what a node tells the others of itself, for operators and for
// clients that look for a node. It contains no secret.
type Profile struct {
	ID       string   `json:"id"`             // of this run, different from that of every other
	Name     string   `json:"name"`           // of the node
	URL      string   `json:"url,omitempty"`  // where clients connect, "" if that is not known
	Address  string   `json:"addr,omitempty"` // where other nodes connect
	Version  string   `json:"version,omitempty"`
	Ready    bool     `json:"ready"` // it takes new clients
	Reasons  []string `json:"reasons,omitempty"`
	Store    bool     `json:"store,omitempty"`
	Witness  bool     `json:"witness,omitempty"`
	Leads    []string `json:"leads,omitempty"` // what it is the leader of
	Interest int      `json:"interest"`        // destinations and patterns with subscribers
	Drops    uint64   `json:"drops"`           // messages between nodes that it has lost
}

// report is a Profile on its way.
type report struct {
	Profile
	Bye bool `json:"bye,omitempty"`
	// Ask wants the others to report now.
	Ask bool `json:"ask,omitempty"`
}

// maxReport bounds what another node may tell.
const maxReport = 16 << 10

// silentReports is how many reports of a live node may be missing.
const silentReports = 4

type rosterNode struct {
	Profile
	heard time.Time
}

// Roster knows the live nodes and what they tell of themselves.
type Roster struct {
	o       RosterOptions
	subject string
	in      chan *nats.Msg
	sub     *nats.Subscription
	done    chan struct{}
	once    sync.Once
	running sync.WaitGroup

	mu   sync.Mutex
	self Profile
	all  map[string]*rosterNode // others, by ID
}

// NewRoster begins to report and to listen. Call Close before the connection is
// closed.
func NewRoster(o RosterOptions) (*Roster, error) {
	if o.Conn == nil || o.Self == nil {
		return nil, errors.New("cluster: RosterOptions.Conn and Self are required")
	}
	if o.Prefix == "" {
		o.Prefix = "hb"
	}
	if o.Every <= 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Roster{
		o: o, subject: o.Prefix + ".roster", in: make(chan *nats.Msg, 1<<10), done: make(chan struct{}), all: make(map[string]*rosterNode),
	}
	r.self = o.Self()
	var err error
	if r.sub, err = o.Conn.ChanSubscribe(r.subject, r.in); err != nil {
		return nil, err
	}
	if err := r.tell(report{Profile: r.self, Ask: true}); err != nil {
		return nil, errors.Join(err, r.sub.Unsubscribe())
	}
	r.running.Go(r.run)
	return r, nil
}

// Nodes returns all live nodes, this one included, by name.
func (r *Roster) Nodes() []Profile {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list()
}

func (r *Roster) list() []Profile {
	list := []Profile{r.self}
	for _, n := range r.all {
		list = append(list, n.Profile)
	}
	slices.SortFunc(list, func(a, b Profile) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Close says good-bye, and returns when nothing runs any more. It does not close
// the connection.
func (r *Roster) Close() {
	r.once.Do(func() { close(r.done) })
	r.running.Wait()
}

func (r *Roster) run() {
	tick := time.NewTicker(r.o.Every)
	defer tick.Stop()
	r.changed(r.Nodes())
	for {
		select {
		case <-r.done:
			// Who does not hear it misses the reports.
			_ = errors.Join(r.tell(report{Profile: r.self, Bye: true}), r.o.Conn.Flush(), r.sub.Unsubscribe())
			return
		case m := <-r.in:
			r.hear(m.Data, time.Now())
		case <-tick.C:
			r.report(false)
			r.expire(time.Now())
		}
	}
}

// report tells the others of this node.
func (r *Roster) report(ask bool) {
	now := r.o.Self()
	r.mu.Lock()
	before := r.self
	r.self = now
	list := r.list()
	r.mu.Unlock()
	if news(&before, &now) {
		r.changed(list)
	}
	if err := r.tell(report{Profile: now, Ask: ask}); err != nil {
		r.o.Logger.Debug("other nodes cannot be told of this one", "error", err)
	}
}

func (r *Roster) tell(what report) error {
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return r.o.Conn.Publish(r.subject, data)
}

// hear notes what a node tells.
func (r *Roster) hear(data []byte, now time.Time) {
	var heard report
	if len(data) > maxReport {
		return
	}
	if err := json.Unmarshal(data, &heard); err != nil || heard.ID == "" {
		r.o.Logger.Debug("a report of another node cannot be read", "error", err)
		return
	}
	r.mu.Lock()
	if heard.ID == r.self.ID {
		r.mu.Unlock()
		return
	}
	n, known := r.all[heard.ID]
	fresh := !known || news(&n.Profile, &heard.Profile)
	switch {
	case heard.Bye:
		delete(r.all, heard.ID)
		fresh = known
	case known:
		n.Profile, n.heard = heard.Profile, now
	default:
		r.all[heard.ID] = &rosterNode{heard.Profile, now}
	}
	list := r.list()
	r.mu.Unlock()
	if fresh {
		r.changed(list)
	}
	if heard.Ask && !heard.Bye {
		r.report(false)
	}
}

// expire forgets the nodes that are silent.
func (r *Roster) expire(now time.Time) {
	r.mu.Lock()
	gone := false
	for id, n := range r.all {
		if now.Sub(n.heard) > silentReports*r.o.Every {
			delete(r.all, id)
			gone = true
		}
	}
	list := r.list()
	r.mu.Unlock()
	if gone {
		r.changed(list)
	}
}

func (r *Roster) changed(list []Profile) {
	if r.o.Changed != nil {
		r.o.Changed(list)
	}
}

// news reports whether clients must hear of a change.
func news(a, b *Profile) bool { return a.Name != b.Name || a.URL != b.URL || a.Ready != b.Ready }
