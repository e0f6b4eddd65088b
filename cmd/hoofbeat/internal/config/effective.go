package config

import (
	"bufio"
	"fmt"
	"io"
)

// WriteEffective writes the keys of c whose values are not the defaults, wherever
// they come from, a line for each as `key: value`. Secrets and the items of lists
// are not shown.
func WriteEffective(w io.Writer, c *Config) error {
	b := bufio.NewWriter(w)
	for _, k := range tableOf(c) {
		text := k.value.String()
		switch r, ok := k.value.(*records); {
		case ok && r.length() == 0, !ok && text == k.Default:
			continue
		case ok:
			text = entries(r.length())
		case k.Type() == "secret":
			text = "a secret"
		case text == "":
			text = `""`
		}
		fmt.Fprintf(b, "%s: %s\n", k.Path, text)
	}
	if n := len(c.Rules); n > 0 {
		fmt.Fprintf(b, "rules: %s\n", entries(n))
	}
	return b.Flush()
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
