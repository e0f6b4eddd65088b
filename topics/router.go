package topics

import "iter"

// Router knows who listens where: an [Index] for the destinations everybody shares, the private destinations of
// each session, and which user has which sessions. It takes the place of Spring's DefaultUserDestinationResolver
// and DefaultSimpUserRegistry, with one difference: Spring rewrites /user/queue/x to the shared name
// "/queue/x-user" + session, which anyone may spell. Here a private destination is a session and a path, not a
// string among the shared ones; no destination and no pattern that a client can write reaches it.
//
// All methods are safe for concurrent use. Each changes or reads one thing at a time: a Router does not tie a
// session's registration to its subscriptions, so whoever ends a session takes back both.
type Router[S comparable] struct {
	shared  *Index[S]
	private table[S]
	users   table[string]
}

// NewRouter returns an empty Router. It takes about 37 kB.
func NewRouter[S comparable]() *Router[S] {
	return &Router[S]{shared: NewIndex[S]()}
}

// Subscribe adds s to a destination. A topic or queue, or a pattern of these, is shared. A user destination of
// either kind is private to the session, and taken literally even where d.Pattern is set; that a UserNamed one
// names the session's own user is for the caller to check. Nobody subscribes to other destinations: those of
// kind App are answered by their handler, and Subscribe does nothing.
func (r *Router[S]) Subscribe(session string, d Destination, s S) {
	switch d.Kind {
	case Topic, Queue:
		r.shared.Add(d.Path, s)
	case UserPrivate, UserNamed:
		r.private.add(key{session, d.Path}, s)
	}
}

// Unsubscribe takes back one Subscribe with the same arguments and reports whether there was one. A Match or
// MatchSession that began before may still return s.
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

// Match returns the subscribers of a topic or queue, as [Index.Match] does; nil for the other kinds.
func (r *Router[S]) Match(d Destination) []S {
	if d.Kind == Topic || d.Kind == Queue {
		return r.shared.Match(d.Path)
	}
	return nil
}

// MatchSession returns the session's own subscribers of a private destination, given by the [Destination]'s Path,
// such as "/queue/x". The result is a snapshot: do not write to it. It allocates nothing.
func (r *Router[S]) MatchSession(session, path string) []S {
	list, _ := r.private.get(key{session, path})
	return list
}

// Join registers a session of a user. A session without a name, or joining again, changes nothing.
func (r *Router[S]) Join(user, session string) {
	if user != "" {
		r.users.addOnce(key{name: user}, session)
	}
}

// Leave takes a session from a user; one that has not joined changes nothing.
func (r *Router[S]) Leave(user, session string) {
	r.users.remove(key{name: user}, session)
}

// Sessions returns the sessions of a user, nil when there are none. The result is a snapshot: do not write to it.
// It allocates nothing.
func (r *Router[S]) Sessions(user string) []string {
	list, _ := r.users.get(key{name: user})
	return list
}

// Users yields each user that has a session, with the number of sessions, in no order. The body may use the
// Router; what is changed meanwhile may or may not be seen.
func (r *Router[S]) Users() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for k, n := range r.users.counts() {
			if !yield(k.name, n) {
				return
			}
		}
	}
}

// Shared yields each destination and pattern that everybody shares and that has subscribers, with the number of its
// subscriptions, as [Index.Destinations] does.
func (r *Router[S]) Shared() iter.Seq2[string, int] { return r.shared.Destinations() }

// Destinations yields each destination and pattern that has subscribers, with the number of its subscriptions, in
// no order. Private destinations are summed over all sessions and yielded as "/user" and their path, so that no
// session is revealed. The body may use the Router; what is changed meanwhile may or may not be seen. Walking
// takes time in proportion to all destinations: it is for people who look, not for the path of a message.
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
