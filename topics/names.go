package topics

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Prefixes configures how destinations begin, as
// setApplicationDestinationPrefixes, enableSimpleBroker and
// setUserDestinationPrefix do in Spring. A prefix has one or more segments,
// such as "/topic" or "/chat/rooms". Empty fields default to [DefaultPrefixes].
// /temp-queue and /reply-queue cannot be prefixes, see [Reply].
type Prefixes struct {
	// Topic lists the prefixes of topics. If it includes "/", every destination
	// that no other prefix matches is a topic, as in Spring's simple broker
	// without prefixes.
	Topic []string
	// Queue lists the prefixes of queues. Dead letters stay under the same
	// prefix: those of /jobs/a go to /jobs/DLQ.a.
	Queue []string
	// App lists the prefixes of handlers. With /app and /ws, the destinations
	// /app/x and /ws/x reach the same handler. The first prefix is the
	// canonical one.
	App []string
	// User is the prefix of user destinations.
	User string
}

// DefaultPrefixes returns /topic, /queue, /app and /user.
func DefaultPrefixes() Prefixes {
	return Prefixes{Topic: []string{"/topic"}, Queue: []string{"/queue"}, App: []string{"/app"}, User: "/user"}
}

// Names parses destinations according to a set of prefixes. It is immutable and
// safe for concurrent use.
type Names struct {
	prefixes Prefixes
	claims   []claim  // prefixes of every kind, longest first
	shared   []string // prefixes that, after the user prefix, begin a topic or queue instead of a user name
	reserved []string // shared prefixes of one segment, without the slash
	rest     bool     // an unmatched destination is a topic
	unknown  Error    // error for a destination that no prefix matches
}

type claim struct {
	prefix string
	kind   Kind
}

// standard is the Names that Parse uses.
var standard = must(NewNames(Prefixes{}))

func must(n *Names, err error) *Names {
	if err != nil {
		panic(err)
	}
	return n
}

// NewNames checks the prefixes and returns a Names for them. It drops a
// trailing slash. The error names the wrong prefix. A prefix must begin with a
// slash, have at most MaxPrefix bytes and no empty segment, wildcard, brace,
// percent sign or control character. No prefix may occur twice, and none may
// lie below a prefix of another kind or below another App prefix.
func NewNames(p Prefixes) (*Names, error) {
	def := DefaultPrefixes()
	n := &Names{prefixes: Prefixes{
		Topic: orDefault(p.Topic, def.Topic), Queue: orDefault(p.Queue, def.Queue),
		App: orDefault(p.App, def.App), User: cmp.Or(p.User, def.User),
	}}
	users := []string{n.prefixes.User}
	for _, list := range []struct {
		kind     Kind
		prefixes []string
	}{{Topic, n.prefixes.Topic}, {Queue, n.prefixes.Queue}, {App, n.prefixes.App}, {UserNamed, users}} {
		for i, prefix := range list.prefixes {
			if prefix == "/" && list.kind == Topic {
				n.rest = true
				continue
			}
			prefix = strings.TrimSuffix(prefix, "/")
			if err := n.claim(prefix, list.kind); err != nil {
				return nil, err
			}
			list.prefixes[i] = prefix
		}
	}
	n.prefixes.User = users[0]
	slices.SortStableFunc(n.claims, func(a, b claim) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	n.claims = append(n.claims, claim{tempQueue, Reply}, claim{replyQueue, Reply}) // seldom used, so compared last
	n.share("/topic")
	n.share("/queue")
	for _, c := range n.claims {
		if c.kind == Topic || c.kind == Queue {
			n.share(c.prefix)
		}
	}
	n.unknown = n.prefixes.unknown()
	return n, nil
}

func orDefault(list, def []string) []string {
	if len(list) == 0 {
		return def
	}
	return slices.Clone(list)
}

func (n *Names) claim(prefix string, kind Kind) error {
	switch {
	case len(prefix) < 2 || prefix[0] != '/' || strings.Contains(prefix, "//"):
		return fmt.Errorf("prefix %q must begin with / and have no empty segment, as /topic", prefix)
	case IsPattern(prefix) || strings.ContainsAny(prefix, "{}%"):
		return fmt.Errorf("prefix %q must not contain any of * ? { } %%", prefix)
	case len(prefix) > MaxPrefix:
		return fmt.Errorf("prefix %q is longer than %d bytes", prefix[:MaxPrefix], MaxPrefix)
	}
	for _, own := range []string{tempQueue, replyQueue} {
		if _, below := cutPrefix(prefix, own); below {
			return fmt.Errorf("prefix %q: %s is where clients get answers", prefix, own)
		}
	}
	if err := check(prefix); err != nil {
		return fmt.Errorf("prefix %q: %w", prefix, err)
	}
	for _, c := range n.claims {
		if c.prefix == prefix {
			return fmt.Errorf("prefix %q is given twice", prefix)
		}
		if outer, inner, below := nested(c.prefix, prefix); below && (c.kind != kind || kind == App) {
			return fmt.Errorf("prefix %q lies below prefix %q: a rule for one would reach the other", inner, outer)
		}
	}
	n.claims = append(n.claims, claim{prefix, kind})
	return nil
}

// nested reports whether one of two prefixes lies below the other.
func nested(a, b string) (outer, inner string, below bool) {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a, b, strings.HasPrefix(b, a+"/")
}

// share records that prefix also begins a topic or queue after the user prefix.
func (n *Names) share(prefix string) {
	if slices.Contains(n.shared, prefix) {
		return
	}
	n.shared = append(n.shared, prefix)
	if name := prefix[1:]; !strings.Contains(name, "/") {
		n.reserved = append(n.reserved, name)
	}
}

// unknown returns the ErrPrefix for these prefixes.
func (p Prefixes) unknown() Error {
	all := slices.Concat(p.Topic, p.Queue, p.App, []string{p.User})
	all = slices.DeleteFunc(all, func(prefix string) bool { return prefix == "/" })
	last := len(all) - 1
	return Error("destination must begin with " + strings.Join(all[:last], "/, ") + "/ or " + all[last] + "/")
}

// Prefixes returns the prefixes with defaults filled in. Do not write to the
// lists.
func (n *Names) Prefixes() Prefixes { return n.prefixes }

// Parse parses the destination of a message, as the function [Parse] does.
func (n *Names) Parse(name string) (Destination, error) { return n.parse(name, false) }

// ParseSubscription parses the destination of a SUBSCRIBE. It differs from
// Parse only below the user prefix, where a session subscribes to its own
// destinations: /user/events and /user/feed/news are its private destinations
// "/events" and "/feed/news", as in Spring. Parse reads the latter as "/news"
// of the user "feed". ParseSubscription reads a user name only before a topic
// or queue: /user/ann/queue/x.
func (n *Names) ParseSubscription(name string) (Destination, error) {
	return n.parse(name, true)
}

func (n *Names) parse(name string, subscription bool) (Destination, error) {
	if err := check(name); err != nil {
		return Destination{}, err
	}
	d := Destination{Name: name, Path: name}
	kind, rest := n.split(name)
	var err error
	switch d.Kind = kind; kind {
	case Topic, Queue:
		err = notEmpty(rest)
	case App:
		if d.Path = rest; rest == "" {
			d.Path = "/"
		}
	case Reply:
		if err := readReply(name, rest, subscription); err != nil {
			return Destination{}, err
		}
		return d, nil // never a pattern
	case UserNamed:
		if subscription {
			err = n.readOwn(&d, rest)
		} else {
			err = n.readUser(&d, rest)
		}
	default:
		err = n.unknown
	}
	if err != nil {
		return Destination{}, err
	}
	if d.Pattern = IsPattern(d.Path); d.Pattern {
		if err := checkMasked(d.Path); err != nil {
			return Destination{}, err
		}
	}
	return d, nil
}

// The prefixes of [Reply], as in RabbitMQ. They cannot be changed.
const (
	tempQueue  = "/temp-queue"
	replyQueue = "/reply-queue"
)

// readReply checks a destination of answers.
func readReply(name, rest string, subscription bool) error {
	_, temp := cutPrefix(name, tempQueue)
	switch {
	case temp && !subscription:
		return ErrTempQueue
	case !temp && subscription:
		return ErrReplyQueue
	}
	return notEmpty(rest)
}

// split returns the kind of a destination and the text after its prefix.
func (n *Names) split(name string) (Kind, string) {
	for i := range n.claims {
		if rest, ok := cutPrefix(name, n.claims[i].prefix); ok {
			return n.claims[i].kind, rest
		}
	}
	if n.rest && len(name) > 1 && name[0] == '/' && name[1] != '/' {
		return Topic, name
	}
	return 0, ""
}

// cutPrefix removes a prefix of whole segments.
func cutPrefix(s, prefix string) (rest string, ok bool) {
	if !strings.HasPrefix(s, prefix) {
		return "", false
	}
	rest = s[len(prefix):]
	return rest, rest == "" || rest[0] == '/'
}

// cutShared removes a prefix that begins a topic or queue after the user
// prefix.
func (n *Names) cutShared(path string) (rest string, ok bool) {
	for _, prefix := range n.shared {
		if rest, ok = cutPrefix(path, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// readUser parses the text after the user prefix in a message's destination.
func (n *Names) readUser(d *Destination, rest string) error {
	if strings.Trim(rest, "/") == "" {
		return ErrEmpty
	}
	if path, ok := n.cutShared(rest); ok {
		d.Kind, d.Path = UserPrivate, rest
		return notEmpty(path)
	}
	return n.readName(d, rest)
}

// readOwn parses the text after the user prefix in the destination of a
// SUBSCRIBE.
func (n *Names) readOwn(d *Destination, rest string) error {
	if strings.Trim(rest, "/") == "" {
		return ErrEmpty
	}
	if path, shared := n.cutShared(rest); shared {
		d.Kind, d.Path = UserPrivate, rest
		return notEmpty(path)
	}
	if strings.HasPrefix(rest, "//") {
		return ErrUserEmpty
	}
	// Any number of slashes may separate the name from the queue; the
	// destination still names a user and must not count as private.
	_, tail := cut(rest)
	if _, named := n.cutShared("/" + strings.TrimLeft(tail, "/")); named {
		return n.readName(d, rest)
	}
	d.Kind, d.Path = UserPrivate, rest
	return nil
}

// readName parses a user name and the path after it.
func (n *Names) readName(d *Destination, rest string) error {
	head, path := cut(rest)
	user, err := unescapeUser(head[len("/"):])
	if err != nil {
		return err
	}
	if err := n.ValidUser(user); err != nil {
		return err
	}
	d.User, d.Path = user, path
	if rest, ok := n.cutShared(path); ok {
		return notEmpty(rest)
	}
	if len(path) < 2 || path[1] == '/' {
		return ErrUserPath
	}
	return nil
}

// ValidUser checks a user name as the function [ValidUser] does. It also
// refuses names that, after this user prefix, begin the session's own topics or
// queues.
func (n *Names) ValidUser(name string) error {
	if err := ValidUser(name); err != nil {
		return err
	}
	if slices.Contains(n.reserved, name) {
		return ErrUserReserved
	}
	return nil
}

// UserDestination returns the destination that addresses a path of a user; see
// the function [UserDestination].
func (n *Names) UserDestination(user, path string) string {
	return n.prefixes.User + "/" + EscapeUser(user) + path
}

// Handler returns the handler path of a private path: "/x" for "/queue/x", and
// "/events" for "/events".
func (n *Names) Handler(path string) string {
	if rest, ok := n.cutShared(path); ok && rest != "" {
		return rest
	}
	return path
}

// Canonical returns the one form that all spellings of a destination share:
// without empty segments (see [Collapse]), with the first application prefix,
// and with the user name as [EscapeUser] writes it. "/user/a%2fb//queue/x/"
// becomes "/user/a%2Fb/queue/x". Authorizers see this form. Routing uses Path
// instead: as in Spring's broker, "/topic/a/" and "/topic/a" are different
// topics.
func (n *Names) Canonical(d Destination) string {
	switch {
	case d.Kind == App && len(n.prefixes.App) > 1:
		return Collapse(n.prefixes.App[0] + d.Path)
	case d.Kind == UserNamed && strings.Contains(d.Name, "%"):
		return n.UserDestination(d.User, Collapse(d.Path))
	case d.Kind == UserPrivate && strings.Contains(d.Name, "%2f"):
		if _, shared := n.cutShared(d.Path); shared {
			return Collapse(d.Name)
		}
		// Treat the first segment like a user name: rules write it with %2F.
		name := Collapse(d.Name)
		end := len(n.prefixes.User) + 1
		if next := strings.IndexByte(name[end:], '/'); next >= 0 {
			end += next
		} else {
			end = len(name)
		}
		return strings.ReplaceAll(name[:end], "%2f", "%2F") + name[end:]
	default:
		return Collapse(d.Name)
	}
}

// deadLetters begins the part after the prefix in the name of a dead-letter
// queue.
const deadLetters = "/DLQ."

// DeadLetters returns the dead-letter queue of a queue: "/queue/DLQ.a" for
// "/queue/a". It reports false if queue is no queue or already a dead-letter
// queue.
func (n *Names) DeadLetters(queue string) (name string, ok bool) {
	if _, ok := n.DeadLettersOf(queue); ok {
		return "", false
	}
	prefix, rest, ok := n.queue(queue)
	if !ok {
		return "", false
	}
	return prefix + deadLetters + rest[1:], true
}

// DeadLettersOf returns the queue whose dead letters go to the given one:
// "/queue/a" for "/queue/DLQ.a". It reports false if queue is no dead-letter
// queue.
func (n *Names) DeadLettersOf(queue string) (source string, ok bool) {
	prefix, rest, ok := n.queue(queue)
	if !ok {
		return "", false
	}
	name, ok := strings.CutPrefix(rest, deadLetters)
	if !ok {
		return "", false
	}
	return prefix + "/" + name, true
}

// queue splits the name of a queue into its prefix and the rest.
func (n *Names) queue(name string) (prefix, rest string, ok bool) {
	for i := range n.claims {
		c := &n.claims[i]
		if rest, ok := cutPrefix(name, c.prefix); ok {
			return c.prefix, rest, c.kind == Queue && rest != ""
		}
	}
	return "", "", false
}
