package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// result accepts the same results as webflow.Options.
func result(s string) error {
	if s == "" || len(s) > 64 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("%q is not accepted: want 1 to 64 bytes of printable text", s)
	}
	return nil
}

// InterimResults returns the results after which a page continues to wait: those of
// Interim that are in Results. It is never nil.
func (w *WebFlow) InterimResults() []string {
	interim := make([]string, 0, len(w.Interim))
	for _, r := range w.Interim {
		if slices.Contains(w.Results, r) {
			interim = append(interim, r)
		}
	}
	return interim
}

// finalResults returns the results after which no other follows.
func (w *WebFlow) finalResults() []string {
	return slices.DeleteFunc(slices.Clone(w.Results), func(r string) bool { return slices.Contains(w.Interim, r) })
}

// checkResults checks that the keys of the results agree with one another. interim
// reports that webflow.interim is not the default.
func (w *WebFlow) checkResults(interim bool, bad func(key, format string, args ...any)) {
	if len(w.Results) == 0 {
		bad("webflow.results", "is empty: nothing could be reported")
		return
	}
	if interim {
		for _, r := range w.Interim {
			if !slices.Contains(w.Results, r) {
				bad("webflow.interim", "%q is not one of webflow.results, which are %s", r, strings.Join(w.Results, ", "))
			}
		}
	}
	final := w.finalResults()
	switch r := w.ExpiredResult; {
	case len(final) == 0 && interim:
		bad("webflow.interim", "has all of webflow.results: no operation could come to an end")
	case len(final) == 0:
		bad("webflow.results", "has none but those of webflow.interim, which are %s: no operation could come to an end", strings.Join(w.Interim, ", "))
	case r != "" && !slices.Contains(final, r):
		bad("webflow.expired_result", "%q is not accepted: want one of %s, or empty", r, strings.Join(final, ", "))
	}
}
