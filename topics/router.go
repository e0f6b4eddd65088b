package topics

import "iter"

// Router finds the subscribers of shared and private destinations. It holds an
// [Index] of the shared destinations, the private destinations of each session,
// and the sessions of each user. It replaces Spring's
// DefaultUserDestinationResolver and DefaultSimpUserRegistry, with one
// difference: Spring rewrites /user/queue/x to the shared name "/queue/x-user"
// + session, which any client can spell. Here a private destination consists of
// a session and a path and is not a shared name; no destination or pattern that
// a client can write reaches it.
//
// All methods are safe for concurrent use. Each changes or reads one thing: a
// Router does not connect a session's registration with its subscriptions, so
// code that ends a session must undo both.
type Router[S comparable] struct {
	shared *Index[S]
	userTables[S]
}

// NewRouter returns an empty Router, which takes about 37 kB.
func NewRouter[S comparable]() *Router[S] {
	return &Router[S]{shared: NewIndex[S]()}
}

// Subscribe adds s to a destination. Topics, queues and patterns of these are
// shared. User destinations of both kinds are private to the session and
// literal, even if d.Pattern is set; the caller must check that a UserNamed one
// names the session's own user. For the kind App, which handlers answer,
// Subscribe does nothing. For a shared destination it returns what [Index.Add]
// returns, and else 0.
func (r *Router[S]) Subscribe(session string, d Destination, s S) (generation uint64) {
	switch d.Kind {
	case Topic, Queue:
		return r.shared.Add(d.Path, s)
	case UserPrivate, UserNamed:
		r.private.add(key{session, d.Path}, s)
	}
	return 0
}

// Unsubscribe reverses one Subscribe with the same arguments and reports
// whether there was one. A Match or MatchSession that began before may still
// return s.
func (r *Router[S]) Unsubscribe(session string, d Destination, s S) bool {
	switch d.Kind {
	case Topic, Queue:
		return r.shared.Remove(d.Path, s)
	case UserPrivate, UserNamed:
		return r.private.remove(key{session, d.Path}, s)
	default:
		return false
	}
}

// Match returns the subscribers of a topic or queue, as [Index.Match] does, and
// nil for other kinds.
func (r *Router[S]) Match(d Destination) []S {
	if d.Kind == Topic || d.Kind == Queue {
		return r.shared.Match(d.Path)
	}
	return nil
}

// Shared yields each shared destination and pattern that has subscribers, with
// its number of subscriptions, as [Index.Destinations] does.
func (r *Router[S]) Shared() iter.Seq2[string, int] { return r.shared.Destinations() }

// Destinations yields each destination and pattern that has subscribers, with
// its number of subscriptions, in no particular order. Private destinations are
// summed over all sessions and yielded as "/user" plus their path, so that no
// session is revealed. The body may use the Router; changes made during the
// iteration may or may not be visible. The time is proportional to the number
// of destinations: use it for inspection, not per message.
func (r *Router[S]) Destinations() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for destination, n := range r.shared.Destinations() {
			if !yield(destination, n) {
				return
			}
		}
		paths := make(map[string]int)
		for k, n := range r.private.counts() {
			paths[k.name] += n
		}
		for path, n := range paths {
			if !yield("/user"+path, n) {
				return
			}
		}
	}
}

// Len returns the number of subscriptions, shared and private.
func (r *Router[S]) Len() int { return r.shared.Len() + r.private.len() }
