package auth

import (
	"cmp"
	"slices"
	"strings"
)

// Prefixes make rules for a broker with other prefixes than /topic, /queue,
// /app and /user. An empty field keeps its default. The broker validates its
// own prefixes; here they must be valid and must not end in a slash.
//
// Write rules with these prefixes. A rule about an application destination may
// use any of the App prefixes and applies to all of them.
type Prefixes struct {
	// Topic are the prefixes of topics. "/" claims every destination that no
	// other prefix claims.
	Topic []string
	// Queue are the prefixes of queues.
	Queue []string
	// App are the prefixes of handlers.
	App []string
	// User is the prefix of user destinations.
	User string
}

// space is Prefixes in the form that rules need.
type space struct {
	topic, queue, app []string
	user              string
	rest              bool // topics are all destinations that no prefix claims
	// shared are the prefixes of topics and queues. Behind the user prefix they
	// are not users' names.
	shared []string
}

var standard = newSpace(Prefixes{})

func newSpace(p Prefixes) *space {
	s := &space{
		topic: prefixesOr(p.Topic, "/topic"), queue: prefixesOr(p.Queue, "/queue"), app: prefixesOr(p.App, "/app"),
		user: strings.TrimSuffix(cmp.Or(p.User, "/user"), "/"),
	}
	if i := slices.Index(s.topic, ""); i >= 0 { // it was "/"
		s.topic, s.rest = slices.Delete(s.topic, i, i+1), true
	}
	s.shared = slices.Concat([]string{"/topic", "/queue"}, s.topic, s.queue)
	return s
}

func prefixesOr(list []string, def string) []string {
	if len(list) == 0 {
		return []string{def}
	}
	all := make([]string, len(list))
	for i, prefix := range list {
		all[i] = strings.TrimSuffix(prefix, "/")
	}
	return all
}

// cutPrefix cuts whole segments off the beginning of a path.
func cutPrefix(path, prefix string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// cutShared cuts the prefix of a topic or queue off a path.
func (s *space) cutShared(path string) (rest string, ok bool) {
	for _, prefix := range s.shared {
		if rest, ok = cutPrefix(path, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// canonicalApp replaces the application prefix of a rule's destination by the
// first application prefix.
func (s *space) canonicalApp(destination string) string {
	for _, prefix := range s.app[1:] {
		if rest, ok := cutPrefix(destination, prefix); ok {
			return s.app[0] + rest
		}
	}
	return destination
}

// NewRules is [NewRules] for other prefixes.
func (p Prefixes) NewRules(rules ...Rule) (*Rules, error) { return newSpace(p).newRules(rules) }

// Open is [Open] for other prefixes.
func (p Prefixes) Open() *Rules { return newSpace(p).open() }

// Guarded is [Guarded] for other prefixes.
func (p Prefixes) Guarded() *Rules { return newSpace(p).guarded() }
