package topics

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Prefixes say how destinations begin, as setApplicationDestinationPrefixes, enableSimpleBroker and
// setUserDestinationPrefix do for Spring. A prefix is one or more segments, "/topic" or "/chat/rooms". What is left
// out is as in [DefaultPrefixes].
type Prefixes struct {
	// Topic are the prefixes of topics. "/" among them makes a topic of every destination that no other prefix
	// claims, as Spring's simple broker does when it is given no prefixes.
	Topic []string
	// Queue are the prefixes of queues, each with dead letters of its own: /jobs/a has /jobs/DLQ.a.
	Queue []string
	// App are the prefixes of handlers: /app/x and /ws/x are the same handler. The first is the canonical one.
	App []string
	// User is the prefix of user destinations.
	User string
}

// DefaultPrefixes returns /topic, /queue, /app and /user.
func DefaultPrefixes() Prefixes {
	return Prefixes{Topic: []string{"/topic"}, Queue: []string{"/queue"}, App: []string{"/app"}, User: "/user"}
}

// Names is a name space of destinations: it reads them by the prefixes it was made with. It is immutable and may be
// used by any number of goroutines.
type Names struct {
	prefixes Prefixes
	claims   []claim  // of every kind, the longest first
	shared   []string // behind the user prefix: what begins a topic or queue and is no user's name
	reserved []string // those of one segment, without the slash
	rest     bool     // what nobody claims is a topic
	unknown  Error    // of a destination that no prefix claims
}

type claim struct {
	prefix string
	kind   Kind
}

// standard is the name space of Parse.
var standard = must(NewNames(Prefixes{}))

func must(n *Names, err error) *Names {
	if err != nil {
		panic(err)
	}
	return n
}

// NewNames checks and prepares prefixes. A slash at the end of one is dropped. The error says which prefix is wrong:
// it must begin with a slash and have no empty segment, wildcard or control character, and no two kinds share one.
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

// nested reports whether one of two prefixes begins with the other.
func nested(a, b string) (outer, inner string, below bool) {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a, b, strings.HasPrefix(b, a+"/")
}

// share notes that prefix begins a topic or queue behind the user prefix as well.
func (n *Names) share(prefix string) {
	if slices.Contains(n.shared, prefix) {
		return
	}
	n.shared = append(n.shared, prefix)
	if name := prefix[1:]; !strings.Contains(name, "/") {
		n.reserved = append(n.reserved, name)
	}
}

// unknown is ErrPrefix for other prefixes.
func (p Prefixes) unknown() Error {
	all := slices.Concat(p.Topic, p.Queue, p.App, []string{p.User})
	all = slices.DeleteFunc(all, func(prefix string) bool { return prefix == "/" })
	last := len(all) - 1
	return Error("destination must begin with " + strings.Join(all[:last], "/, ") + "/ or " + all[last] + "/")
}

// Prefixes returns the prefixes, defaults filled in. Do not write to the lists.
func (n *Names) Prefixes() Prefixes { return n.prefixes }

// Parse reads the destination of a message as [Parse] does.
func (n *Names) Parse(name string) (Destination, error) { return n.parse(name, false) }

// ParseSubscription reads the destination of a SUBSCRIBE. It differs from Parse below the user prefix only: there a
// session subscribes to what is its own. /user/events and /user/feed/news are its private destinations "/events" and
// "/feed/news", as in Spring, where Parse reads the latter as "/news" of the user "feed". Only a name before a topic
// or queue is a user's: /user/ann/queue/x.
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

// split finds the prefix of a destination and returns its kind and what follows.
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

// cutPrefix takes whole segments off the beginning.
func cutPrefix(s, prefix string) (rest string, ok bool) {
	if !strings.HasPrefix(s, prefix) {
		return "", false
	}
	rest = s[len(prefix):]
	return rest, rest == "" || rest[0] == '/'
}

// cutShared takes off what begins a topic or queue.
func (n *Names) cutShared(path string) (rest string, ok bool) {
	for _, prefix := range n.shared {
		if rest, ok = cutPrefix(path, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

// readUser reads what follows the user prefix in a message's destination.
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

// readOwn reads what follows the user prefix in the destination of a SUBSCRIBE.
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
	// However many slashes are between the name and the queue, it is not private.
	_, tail := cut(rest)
	if _, named := n.cutShared("/" + strings.TrimLeft(tail, "/")); named {
		return n.readName(d, rest)
	}
	d.Kind, d.Path = UserPrivate, rest
	return nil
}

// readName reads a user's name and what is addressed there.
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

// ValidUser says whether a name can be a user's, as [ValidUser] does; behind this user prefix the names that begin a
// topic or queue are the session's own destinations.
func (n *Names) ValidUser(name string) error {
	if err := ValidUser(name); err != nil {
		return err
	}
	if slices.Contains(n.reserved, name) {
		return ErrUserReserved
	}
	return nil
}

// UserDestination returns the destination under which the user's path is addressed, see [UserDestination].
func (n *Names) UserDestination(user, path string) string {
	return n.prefixes.User + "/" + EscapeUser(user) + path
}

// Handler returns the path of the handler for a private path: "/x" for "/queue/x", and for "/events" itself.
func (n *Names) Handler(path string) string {
	if rest, ok := n.cutShared(path); ok && rest != "" {
		return rest
	}
	return path
}

// Canonical returns the one name of a destination that all its spellings share: without empty segments, see
// [Collapse]; with the first of several application prefixes; and with the user's name as [EscapeUser] writes it, so
// that "/user/a%2fb//queue/x/" is "/user/a%2Fb/queue/x". It is what an authorizer is asked about. Routing keeps to
// Path: as in Spring's broker, "/topic/a/" is another topic than "/topic/a".
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
		// What looks like a user's name is judged as one: rules write it with %2F.
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

// deadLetters begins the last part of the name of a queue of dead letters, behind its prefix.
const deadLetters = "/DLQ."

// DeadLetters returns the name of the queue for the dead letters of another: "/queue/DLQ.a" for "/queue/a". It
// reports false if the name is that of such a queue already.
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

// DeadLettersOf returns the queue whose dead letters a queue takes: "/queue/a" for "/queue/DLQ.a".
func (n *Names) DeadLettersOf(queue string) (source string, ok bool) {
	prefix, rest, ok := n.queue(queue)
	if !ok {
		return "", false
	}
	name, ok := strings.CutPrefix(rest, deadLetters)
	return prefix + "/" + name, ok
}

// queue splits the name of a queue behind its prefix.
func (n *Names) queue(name string) (prefix, rest string, ok bool) {
	for i := range n.claims {
		c := &n.claims[i]
		if rest, ok := cutPrefix(name, c.prefix); ok {
			return c.prefix, rest, c.kind == Queue && rest != ""
		}
	}
	return "", "", false
}
