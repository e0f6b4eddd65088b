package auth

import (
	"cmp"
	"slices"
	"strings"
)

// Prefixes say how destinations begin, to rules for a broker with other prefixes than /topic, /queue, /app and /user.
// What is left out is one of these. A broker checks them; here they must be right, without a slash at the end.
//
// Rules are written with these prefixes. Those about an application destination may use any of the App prefixes and
// mean all of them.
type Prefixes struct {
	// Topic are the prefixes of topics; "/" among them is whatever no other prefix claims.
	Topic []string
	// Queue are the prefixes of queues.
	Queue []string
	// App are the prefixes of handlers.
	App []string
	// User is the prefix of user destinations.
	User string
}

// space is Prefixes as rules need them.
type space struct {
	topic, queue, app []string
	user              string
	rest              bool     // topics are whatever no prefix claims
	shared            []string // what begins a topic or queue, and is no user's name behind the user prefix
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

// cutPrefix takes whole segments off the beginning of a path.
func cutPrefix(path, prefix string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// cutShared takes off what begins a topic or queue.
func (s *space) cutShared(path string) (rest string, ok bool) {
	for _, prefix := range s.shared {
		if rest, ok = cutPrefix(path, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// canonicalApp writes the literal beginning of a rule with the first of the application prefixes.
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
