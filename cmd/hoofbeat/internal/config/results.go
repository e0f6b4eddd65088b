package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// bindResults binds the keys of the results that waiting pages get.
func bindResults(t *table, w *WebFlow) {
	const want = "texts of 1 to 64 printable bytes, such as CONFIRMED"
	w.Results = []string{
		"CONFIRMED", "CANCELED", "AUTH_FAILED", "AUTH_METHOD_FAILED", "AUTH_METHOD_CHOSEN",
		"AUTH_METHOD_DOWNGRADE", "CONTINUE", "FAILED", "DONE",
	}
	t.add("webflow.results", list{&w.Results, want, result},
		"Results that an application can report. Others are refused, so that a typing error does not reach a page. A result that is not in webflow.interim is final. The default is the list that Web Flow's front end knows.")
	w.Interim = []string{"AUTH_FAILED", "AUTH_METHOD_CHOSEN", "AUTH_METHOD_DOWNGRADE", "CONTINUE"}
	t.add("webflow.interim", list{&w.Interim, want, result},
		"Results after which the page keeps waiting. Must be in webflow.results. If not set: those of the default that are in webflow.results.")
	t.add("webflow.expired_result", word{p: &w.ExpiredResult, kind: "text", want: "one of webflow.results that is not in webflow.interim, or empty", check: anything},
		"Result that a page gets when its operation ends without one. Empty: none.")
}

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
