package checker

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Match is the default of [Options].Match: a destination matches itself, an Ant
// pattern what topics.Pattern says, and a user's /user/queue/x what is sent to
// /user/{name}/queue/x. A dead-letter queue, /queue/DLQ.x, matches its queue.
func Match(subscribed, user, sent string) bool {
	if subscribed == sent {
		return true
	}
	if rest, ok := strings.CutPrefix(sent, "/user/"); ok {
		name, path, _ := strings.Cut(rest, "/")
		own, ok := strings.CutPrefix(subscribed, "/user/")
		return ok && name == user && own == path
	}
	if queue, ok := strings.CutPrefix(subscribed, "/queue/DLQ."); ok {
		return sent == "/queue/"+queue
	}
	if !topics.IsPattern(subscribed) {
		return false
	}
	p, err := topics.Compile(subscribed)
	return err == nil && p.Match(sent)
}
