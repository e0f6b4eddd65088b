package config

import "strings"

// live reports whether a reload puts a change of this key in force. The users,
// the certificates and the rules are reloaded, too.
func live(path string) bool {
	switch path {
	case "log.level", "log.sessions", "websocket.origins", "auth.trusted_proxies":
		return true
	case "limits.connect_deadline", "limits.write_deadline", "limits.failure_wait", "limits.failure_decay", "limits.sockjs_sessions":
		return false
	}
	return strings.HasPrefix(path, "limits.")
}

// Adopt returns c with the live keys and the rules of another configuration: what
// is in force after a reload.
func (c *Config) Adopt(other *Config) *Config {
	adopted := *c
	keys, values := bound(&adopted), tableOf(other)
	for i, k := range keys {
		if k.Live {
			// It was accepted when other was read.
			_ = k.value.Set(values[i].value.String())
		}
	}
	adopted.Rules = other.Rules
	return &adopted
}
