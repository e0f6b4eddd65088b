package checker

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Match is the default of [Options].Match. A destination matches itself; an Ant
// pattern matches as in topics.Pattern; a user's /user/queue/x matches messages
// sent to /user/{name}/queue/x; a dead-letter queue /queue/DLQ.x matches
// /queue/x.
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
