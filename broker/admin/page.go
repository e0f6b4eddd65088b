package admin

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// page is part of a list. Each call creates the list again, so changes between
// two calls may shift the next page.
type page[T any] struct {
	Total  int `json:"total"` // all matches, on this page or not
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
	Items  []T `json:"items"`
}

// answerPage writes the requested part of all, which must be sorted.
func answerPage[T any](w http.ResponseWriter, q url.Values, all []T) *problem {
	part, p := pageOf(q, all)
	if p != nil {
		return p
	}
	return writeJSON(w, http.StatusOK, part)
}

// pageOf returns the requested part of all.
func pageOf[T any](q url.Values, all []T) (page[T], *problem) {
	offset, limit, p := bounds(q)
	if p != nil {
		return page[T]{}, p
	}
	from := min(offset, len(all))
	to := min(from+limit, len(all))
	items := append(make([]T, 0, to-from), all[from:to]...) // encodes as [], never null
	return page[T]{len(all), offset, limit, items}, nil
}

// bounds returns where the requested page begins, and its size.
func bounds(q url.Values) (offset, limit int, p *problem) {
	if limit, p = number(q, "limit", defaultPage, 1, maxPage); p == nil {
		offset, p = number(q, "offset", 0, 0, 1<<30)
	}
	return offset, limit, p
}

// ordering is how a list can be sorted.
type ordering[T any] struct {
	compare func(x, y *T) int
	order   string          // "asc" or "desc", if the query does not say it
	name    func(*T) string // sorts equal ones, so that consecutive pages are consistent
}

// sort sorts as much of a list as the requested page needs.
func (o ordering[T]) sort(q url.Values, list []T) *problem {
	order := o.order
	if q.Has("order") {
		var p *problem
		if order, p = choice(q, "order", "asc", "desc"); p != nil {
			return p
		}
	}
	offset, limit, p := bounds(q)
	if p != nil {
		return p
	}
	sortPart(list, offset, offset+limit, func(x, y *T) int {
		c := o.compare(x, y)
		if order == "desc" {
			c = -c
		}
		if c == 0 {
			c = cmp.Compare(o.name(x), o.name(y))
		}
		return c
	})
	return nil
}

// sortPart puts those elements in their places that come to a page of a sorted
// list, and their neighbours anywhere beside it: a long list is read in many
// pages. No two elements are equal.
func sortPart[T any](list []T, from, to int, compare func(x, y *T) int) {
	for len(list) > 32 {
		if to <= 0 || from >= len(list) {
			return
		}
		last := len(list) - 1
		pivot := rand.IntN(len(list)) //nolint:gosec // no secret
		list[pivot], list[last] = list[last], list[pivot]
		n := 0 // how many are smaller than the last one
		for i := range last {
			if compare(&list[i], &list[last]) < 0 {
				list[i], list[n] = list[n], list[i]
				n++
			}
		}
		list[n], list[last] = list[last], list[n]
		sortPart(list[:n], from, to, compare)
		list, from, to = list[n+1:], from-n-1, to-n-1
	}
	slices.SortFunc(list, func(x, y T) int { return compare(&x, &y) })
}

// states answers with a list that a function returns; nil returns nothing.
func states[T any](list func() []T) func(http.ResponseWriter, *http.Request) *problem {
	return func(w http.ResponseWriter, r *http.Request) *problem {
		q, p := query(r, "offset", "limit")
		if p != nil {
			return p
		}
		var all []T
		if list != nil {
			all = list()
		}
		return answerPage(w, q, all)
	}
}

// query returns the parameters of a request. Each must be in allowed and occur
// only once.
func query(r *http.Request, allowed ...string) (url.Values, *problem) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "the query string is malformed")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(allowed, name) {
			if len(allowed) == 0 {
				return nil, problemf(http.StatusBadRequest, "this path takes no parameters, not %q", name)
			}
			return nil, problemf(http.StatusBadRequest, "there is no parameter %q, only %s", name, strings.Join(allowed, ", "))
		}
		if len(q[name]) > 1 {
			return nil, problemf(http.StatusBadRequest, "the parameter %q is given twice", name)
		}
	}
	return q, nil
}

// pathUser returns the {user} of the path.
func pathUser(r *http.Request) (string, *problem) {
	user := r.PathValue("user")
	if err := auth.ValidName(user); err != nil {
		return "", problemf(http.StatusBadRequest, "%v", err)
	}
	return user, nil
}

func number(q url.Values, name string, byDefault, least, most int) (int, *problem) {
	if !q.Has(name) {
		return byDefault, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < least || n > most {
		return 0, problemf(http.StatusBadRequest, "the parameter %q must be a number from %d to %d", name, least, most)
	}
	return n, nil
}

// choice returns a parameter that must be one of the values; the first is the
// default.
func choice(q url.Values, name string, values ...string) (string, *problem) {
	if !q.Has(name) {
		return values[0], nil
	}
	v := q.Get(name)
	if !slices.Contains(values, v) {
		return "", problemf(http.StatusBadRequest, "the parameter %q must be one of %s", name, strings.Join(values, ", "))
	}
	return v, nil
}
