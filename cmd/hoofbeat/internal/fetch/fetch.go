// Package fetch requests users' data from other sites with the tokens that the
// users have granted, even while they have no window open. It keeps the last
// answer for each user in memory for the user's pages, which never see a token.
package fetch

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	parallel  = 8                // concurrent requests for each source
	timeout   = 10 * time.Second // of one request, including its answer
	maxPause  = time.Hour        // between attempts while a resource fails
	maxTick   = 10 * time.Second // between two reads of the list of users
	logPeriod = time.Minute      // between two warnings about one source
)

// Source is a resource that is fetched for every user of a provider.
type Source struct {
	Name     string // as in /data/{name}
	Provider string // of the users' tokens
	URL      string // https, or http to this machine
	Every    time.Duration
	// Destination is where a new answer is published to the user; "" means
	// nowhere.
	Destination string
}

// Grants provides the users' tokens, as [*oauth.Client] does.
type Grants interface {
	Users(ctx context.Context, provider string) ([]string, error)
	HTTPClient(user, provider string) *http.Client
}

// Options configure a Fetcher. All are required.
type Options struct {
	Sources []Source
	Grants  Grants
	// Publish sends a new answer to a user. It does not block.
	Publish func(ctx context.Context, user, destination string, a Answer) error
	// MaxBody limits one answer, MaxKept all kept answers, in bytes.
	MaxBody, MaxKept int64
	Logger           *slog.Logger
}

// Answer is the last answer of a resource.
type Answer struct {
	Type    string // application/json, or a type that ends in +json
	Body    []byte // nil if there has been no answer yet
	Fetched time.Time
	// Reconsent reports that there will be no newer answer until the user signs
	// in at Provider again.
	Reconsent bool
	Provider  string
}

// Fetcher fetches answers. Its methods are safe for concurrent use. Call Run
// only once.
type Fetcher struct {
	o Options

	mu     sync.Mutex
	states map[key]*state
	kept   int64                // bytes of all answers
	warned map[string]time.Time // by source
}

type key struct{ source, user string }

// state is the state of one source and user.
type state struct {
	due      time.Time
	underway bool
	failures int
	listed   bool // in the current list of users
	answer   Answer
}

// New returns a Fetcher that does nothing until Run.
func New(o Options) *Fetcher {
	return &Fetcher{o: o, states: make(map[key]*state), warned: make(map[string]time.Time)}
}

// Last returns the last answer of a source for a user. It returns false if
// there is neither an answer nor a Reconsent.
func (f *Fetcher) Last(source, user string) (Answer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.states[key{source, user}]
	if s == nil || s.answer.Body == nil && !s.answer.Reconsent {
		return Answer{}, false
	}
	return s.answer, true
}

// Run fetches until ctx ends, and returns when the last request has ended. A
// source that does not answer does not delay the others.
func (f *Fetcher) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, s := range f.o.Sources {
		running.Go(func() { f.run(ctx, s) })
	}
	running.Wait()
}

func (f *Fetcher) run(ctx context.Context, s Source) {
	turns := make(chan struct{}, parallel)
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(min(maxTick, max(s.Every/10, 100*time.Millisecond)))
	defer tick.Stop()
	for {
		for _, user := range f.due(ctx, s) {
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
			running.Go(func() {
				defer func() { <-turns }()
				f.fetch(ctx, s, user)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fetch makes one request, and publishes a changed answer.
func (f *Fetcher) fetch(ctx context.Context, s Source, user string) {
	answer, err := f.ask(ctx, s, user)
	if ctx.Err() != nil {
		return
	}
	if !f.note(s, user, answer, err) || s.Destination == "" {
		return
	}
	if err := f.o.Publish(ctx, user, s.Destination, answer); err != nil {
		f.warn(s, "what was fetched for a user could not be published", "user", user, "destination", s.Destination, "error", err)
	}
}

// warn logs a warning, at most one per logPeriod for each source.
func (f *Fetcher) warn(s Source, text string, attrs ...any) {
	f.mu.Lock()
	now := time.Now()
	last, again := f.warned[s.Name]
	quiet := again && now.Sub(last) < logPeriod
	if !quiet {
		f.warned[s.Name] = now
	}
	f.mu.Unlock()
	if !quiet {
		f.o.Logger.Warn(text, append([]any{"fetch", s.Name, "provider", s.Provider}, attrs...)...)
	}
}
