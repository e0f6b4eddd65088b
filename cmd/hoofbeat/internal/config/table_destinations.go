package config

import "github.com/hoofbeat/hoofbeat/topics"

func bindDestinations(t *table, d *Destinations) {
	def := topics.DefaultPrefixes()
	*d = Destinations{Queue: def.Queue, App: def.App, User: def.User}
	t.add("destinations.topic", list{&d.Topic, "prefixes such as /topic, or /", anything},
		"Prefixes of topics. / makes every destination without another prefix a topic, as in Spring's simple broker without prefixes. Empty: /topic, and with compatibility: spring also /.")
	t.add("destinations.queue", list{&d.Queue, "prefixes such as /queue", anything},
		"Prefixes of queues. The dead letters of /jobs/a are in /jobs/DLQ.a.")
	t.add("destinations.app", list{&d.App, "prefixes such as /app", anything},
		"Prefixes of handlers. All are equivalent: /ws/bootstrap is /app/bootstrap. A rule that names one of them applies to all.")
	t.text("destinations.user", &d.User, "a prefix such as /user",
		"Prefix of user destinations. A page subscribes to its own /user/queue/x or /user/events; the application sends to /user/{name}/queue/x or /user/{name}/events.")
}

// Prefixes returns the prefixes of destinations that are in force.
func (c *Config) Prefixes() topics.Prefixes {
	p := topics.Prefixes(c.Destinations)
	if len(p.Topic) == 0 {
		p.Topic = topics.DefaultPrefixes().Topic
		if c.Compatibility == "spring" {
			p.Topic = append(p.Topic, "/")
		}
	}
	return p
}
