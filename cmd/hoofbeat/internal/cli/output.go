package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-stomp/stomp/v3"
	"github.com/spf13/pflag"
)

// output is how a command prints the messages that it receives.
type output struct {
	json    bool
	verbose bool
}

func (o *output) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "print each message as a JSON object with its headers")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "also print the headers")
}

func (o *output) check() error {
	if o.json && o.verbose {
		return usagef("--json has the headers already: leave --verbose out")
	}
	return nil
}

func (o *output) print(w io.Writer, m *stomp.Message) error {
	if o.json {
		return printJSON(w, m)
	}
	if o.verbose {
		for i := range m.Header.Len() {
			name, value := m.Header.GetAt(i)
			if _, err := fmt.Fprintf(w, "%s: %s\n", oneLine(name), oneLine(value)); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s\n", m.Body)
	return err
}

// oneLine shows line ends as their STOMP escapes, and other control characters,
// which a terminal might obey, as their code.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(c):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// printJSON writes a message as one line. Of headers that are repeated the
// first counts (STOMP 1.2, "Repeated Header Entries").
func printJSON(w io.Writer, m *stomp.Message) error {
	object := struct {
		Destination string            `json:"destination"`
		Headers     map[string]string `json:"headers"`
		Body        *string           `json:"body,omitempty"`
		Base64      []byte            `json:"body_base64,omitempty"`
	}{Destination: m.Destination, Headers: make(map[string]string, m.Header.Len())}
	for i := range m.Header.Len() {
		name, value := m.Header.GetAt(i)
		if _, ok := object.Headers[name]; !ok {
			object.Headers[name] = value
		}
	}
	if utf8.Valid(m.Body) {
		body := string(m.Body)
		object.Body = &body
	} else {
		object.Base64 = m.Body
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(object)
}
